"""Loading a user's model: what is accepted, and the one sentence for everything that is not."""

import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from rgflow.errors import ModelError
from rgflow.networks.factories import Factory, as_factory, load_factory

EXAMPLES = Path(__file__).parents[2] / "examples"

# Counted by hand: sum over layers of (fan_in + 1) * width.
EXAMPLE_PARAMETERS = {
    "deep_relu": 12 * 65 * 64 + 65 * 10,
    "tanh_pinn": 3 * 64 + 4 * 65 * 64 + 65,
    "sine_pinn": 3 * 64 + 4 * 65 * 64 + 65,
    "selu_tabular": 31 * 64 + 5 * 65 * 64 + 65 * 2,
    "narrow": 65 * 8 + 11 * 9 * 8 + 9 * 10,
    "one_layer": 65 * 10,
    "custom_activation": 65 * 96 + 5 * 97 * 96 + 97 * 10,
    "healthy": 65 * 128 + 3 * 129 * 128 + 129 * 10,
}


def _file(folder: Path, text: str, name: str = "model.py") -> Path:
    path = folder / name
    path.write_text("import torch\nfrom torch import nn\n" + textwrap.dedent(text))
    return path


@pytest.mark.parametrize("name", EXAMPLE_PARAMETERS)
def test_every_example_builds_with_the_counted_parameters(name):
    factory = load_factory(f"{EXAMPLES / name}.py:build")
    assert sum(p.numel() for p in factory().parameters()) == EXAMPLE_PARAMETERS[name]
    assert factory.name == f"{name}.py:build"
    assert factory.path == EXAMPLES / f"{name}.py"


def test_the_deep_example_has_the_advertised_size():
    assert EXAMPLE_PARAMETERS["deep_relu"] == 50_570


def test_the_heat_equation_of_the_example_is_solved_by_its_targets():
    import importlib.util

    spec = importlib.util.spec_from_file_location("tanh_pinn", EXAMPLES / "tanh_pinn.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    points = torch.rand(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (slope,) = torch.autograd.grad(module.temperature(points).sum(), points, create_graph=True)
    (bend,) = torch.autograd.grad(slope[:, 0].sum(), points)
    torch.testing.assert_close(slope[:, 1].detach(), module.DIFFUSIVITY * bend[:, 0], rtol=1e-12, atol=1e-12)
    inputs, targets = module.loader()
    assert inputs.shape == (1024, 2)
    assert targets.shape == (1024, 1)


def test_the_shorthand_gives_a_plain_sequential_network():
    network = load_factory("mlp:64-64x12-10:relu")()
    assert [type(layer) for layer in network] == [nn.Linear, nn.ReLU] * 12 + [nn.Linear]
    assert sum(p.numel() for p in network.parameters()) == 50_570
    assert load_factory("mlp:3-2:tanh")()[-1].out_features == 2


@pytest.mark.parametrize(
    ("name", "function"), [("sin", torch.sin), ("erf", torch.erf), ("squared_relu", lambda z: z.clamp(min=0) ** 2)]
)
def test_the_shorthand_knows_activations_that_torch_has_no_module_for(name, function):
    activation = load_factory(f"mlp:2-3-1:{name}")()[1]
    z = torch.linspace(-2, 2, 9)
    torch.testing.assert_close(activation(z), function(z))


BAD_SPECS = {
    "mlp:64-64x12-10": "1 of the 2",
    "mlp:64:relu": "1 width",
    "mlp:64-x-10:relu": "the width 'x'",
    "mlp:64-0-10:relu": "the width '0'",
    "mlp:64-8x0-10:relu": "the width '8x0'",
    "mlp:64-10:swoosh": "swoosh",
    "missing.py:build": "no file missing.py",
    "missing.py": "does not exist",
    "nonsense": "names no factory",
    "": "names no factory",
    "torch.nn:": "names no factory",
    "no_such_package.part:build": "no module no_such_package.part",
    "not a module:build": "neither a Python file nor a module",
    "torch.nn:Linear": "needs the arguments in_features, out_features",
    "torch.nn:NoSuchThing": "has no factory 'NoSuchThing'",
    "torch:float32": "is a dtype",
}


@pytest.mark.parametrize("spec", BAD_SPECS)
def test_a_bad_spec_is_refused_in_one_sentence(spec):
    with pytest.raises(ModelError) as caught:
        load_factory(spec)
    message = str(caught.value)
    assert BAD_SPECS[spec] in message
    assert "\n" not in message


def test_a_missing_colon_and_a_missing_name_list_what_the_file_offers(tmp_path):
    path = _file(
        tmp_path,
        """
        class Net(nn.Linear):
            def __init__(self): super().__init__(2, 2)
        class Needs(nn.Module):
            def __init__(self, width): super().__init__()
        def build(): return Net()
        def sized(width): return Net()
        ready = nn.Linear(1, 1)
        WIDTH = 3
        """,
    )
    for spec in (str(path), f"{path}:nope"):
        with pytest.raises(ModelError, match="Net, build, ready") as caught:
            load_factory(spec)
        assert "sized" not in str(caught.value)
    with pytest.raises(ModelError, match="needs the argument width"):
        load_factory(f"{path}:sized")
    with pytest.raises(ModelError, match="is an int"):
        load_factory(f"{path}:WIDTH")
    assert isinstance(load_factory(f"{path}:Net")(), nn.Linear)
    assert load_factory(f"{path}:ready").instance is not None


BROKEN_FILES = {
    "raise ValueError('no\\nluck')": "importing .* raised ValueError: no luck",
    "import sys; sys.exit(3)": "raised SystemExit: 3",
    "def build(:": "raised SyntaxError",
    "import no_such_module_anywhere": "raised ModuleNotFoundError",
}


@pytest.mark.parametrize("text", BROKEN_FILES)
def test_a_file_that_fails_on_import_says_how(tmp_path, text):
    before = set(sys.modules)
    with pytest.raises(ModelError, match=BROKEN_FILES[text]):
        load_factory(f"{_file(tmp_path, text)}:build")
    assert set(sys.modules) == before


BROKEN_FACTORIES = {
    "def build(): raise KeyError('width')": "raised KeyError: 'width'",
    "def build(): return None": "returned None",
    "def build(): return {'net': 1}": "returned a dict",
    "def build(): return nn.Linear": "returned the class Linear",
}


@pytest.mark.parametrize("text", BROKEN_FACTORIES)
def test_a_factory_that_fails_says_how(tmp_path, text):
    factory = load_factory(f"{_file(tmp_path, text)}:build")
    with pytest.raises(ModelError, match=BROKEN_FACTORIES[text]):
        factory()


def test_the_users_folder_and_the_process_are_left_as_found(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (tmp_path / "parts.py").write_text("WIDTH = 7\n")
    (tmp_path / "later.py").write_text("HEAD = 3\n")
    path = _file(
        tmp_path,
        """
        import parts
        torch.manual_seed(3)
        def build():
            import later
            return nn.Linear(parts.WIDTH, later.HEAD)
        """,
    )
    before, state, entries = list(sys.path), torch.get_rng_state(), sorted(tmp_path.iterdir())
    network = load_factory(f"{path}:build")()
    assert network.weight.shape == (3, 7)
    assert sys.path == before
    assert sorted(tmp_path.iterdir()) == entries
    assert not {"parts", "later"} & set(sys.modules)
    assert not sys.dont_write_bytecode
    torch.manual_seed(0)
    torch.set_rng_state(state)
    load_factory(f"{path}:build")
    assert torch.equal(torch.get_rng_state(), state)


def test_two_files_with_neighbours_of_one_name_each_see_their_own(tmp_path):
    built = []
    for width in (3, 5):
        folder = tmp_path / str(width)
        folder.mkdir()
        (folder / "parts.py").write_text(f"WIDTH = {width}\n")
        path = _file(folder, "import parts\ndef build(): return nn.Linear(1, parts.WIDTH)")
        built.append(load_factory(f"{path}:build")().out_features)
    assert built == [3, 5]


def test_a_default_dtype_set_by_the_file_holds_for_its_networks_only(tmp_path):
    path = _file(tmp_path, "torch.set_default_dtype(torch.float64)\ndef build(): return nn.Linear(2, 2)")
    factory = load_factory(f"{path}:build")
    assert torch.get_default_dtype() == torch.float32
    assert factory().weight.dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32


def test_an_instance_a_callable_and_a_factory_all_become_factories():
    linear = nn.Linear(2, 2)
    from_instance = as_factory(linear)
    assert from_instance.instance is linear
    assert from_instance() is not linear
    assert isinstance(as_factory(lambda: nn.Linear(1, 1))(), nn.Linear)
    factory = Factory("mine", lambda: nn.Linear(1, 1))
    assert as_factory(factory) is factory
    with pytest.raises(ModelError, match="is an int"):
        as_factory(3)
    with pytest.raises(ModelError, match="needs the arguments in_features, out_features"):
        as_factory(nn.Linear)
