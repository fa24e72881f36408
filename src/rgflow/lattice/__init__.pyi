from .geometry import Lattice as Lattice
