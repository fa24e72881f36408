"use strict";
(async function () {
  const PRINT = { width: 640, height: 250, tall: 320 };  // A4 less its margins in CSS pixels; heights as in page.css
  const figures = Array.from(document.querySelectorAll(".plot"));
  const coarse = window.matchMedia("(pointer: coarse)").matches;
  const config = { displayModeBar: false, responsive: false, scrollZoom: false, doubleClick: "reset" };

  // Colours are written as var(--name) in the figures; resolve them against the style sheet as it stands now.
  function resolved(text) {
    const style = getComputedStyle(document.documentElement);
    return text.replace(/"var\((--[a-z]+)\)"/g, (_, name) => JSON.stringify(style.getPropertyValue(name).trim()));
  }

  function draw(box, print) {
    const paper = Number(box.dataset.height) || (box.classList.contains("tall") ? PRINT.tall : PRINT.height);
    const width = print ? PRINT.width : box.clientWidth;
    const height = print ? paper : box.clientHeight;
    box.drawnWidth = width;
    const figure = JSON.parse(resolved(document.getElementById(box.dataset.figure).textContent));
    const layout = Object.assign({}, figure.layout, { width, height, dragmode: coarse ? false : "zoom" });
    return Plotly.react(box, figure.data, layout, config);
  }

  function drawAll(print) {
    figures.forEach((box) => draw(box, print));
  }

  // plotly.js lies in the page as base64 of gzip.
  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (character) => character.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  if (figures.length === 0 || typeof DecompressionStream === "undefined") { return; }
  const library = document.createElement("script");
  library.textContent = await unpacked(document.getElementById("plotly").textContent);
  document.head.append(library);
  document.getElementById("no-plots").remove();

  const opened = [];
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    document.querySelectorAll("details:not([open])").forEach((item) => { item.open = true; opened.push(item); });
    drawAll(true);
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    opened.splice(0).forEach((item) => { item.open = false; });
    drawAll();
  });
  const sizes = new ResizeObserver((entries) => {
    if (document.documentElement.classList.contains("printing")) { return; }
    entries.filter((entry) => entry.target.drawnWidth !== entry.target.clientWidth).forEach((entry) => draw(entry.target));
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
  drawAll();
  figures.forEach((box) => sizes.observe(box));
  document.documentElement.dataset.drawn = String(figures.length);
})();
