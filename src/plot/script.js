"use strict";
// Adds what plain HTML cannot: tooltips that keys can reach, and pictures to take away. The page works without it.
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const shown = (figure) => [...figure.querySelectorAll("svg")].find((svg) => svg.getClientRects().length > 0);

  // Tooltips: the titles of the places become a box that follows the pointer and the arrow keys.
  const tip = document.createElement("div");
  tip.className = "tip";
  tip.hidden = true;
  document.body.append(tip);
  let current = null;
  const show = (place) => {
    if (current) current.classList.remove("on");
    current = place;
    tip.hidden = !place;
    if (!place) return;
    place.classList.add("on");
    tip.textContent = place.dataset.tip;
    const box = place.getBoundingClientRect();
    const width = tip.offsetWidth;
    const right = box.right + 8 + width < document.documentElement.clientWidth;
    tip.style.left = `${scrollX + (right ? box.right + 8 : Math.max(0, box.left - 8 - width))}px`;
    tip.style.top = `${scrollY + box.top + 8}px`;
  };
  for (const svg of document.querySelectorAll("svg")) {
    const places = [...svg.querySelectorAll(".hits rect")];
    for (const place of places) {
      const title = place.querySelector("title");
      place.dataset.tip = title.textContent;
      title.remove();
      place.addEventListener("pointerenter", () => show(place));
    }
    svg.addEventListener("pointerleave", () => show(null));
    svg.addEventListener("blur", () => show(null));
    svg.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
      if (event.key === "Escape") return show(null);
      if (!(event.key in steps) || places.length === 0) return;
      event.preventDefault();
      const at = places.indexOf(current);
      const next = at < 0 ? 0 : at + steps[event.key];
      show(places[Math.min(places.length - 1, Math.max(0, next))]);
    });
  }

  // Pictures: a copy of the drawing with its colours resolved, the title above and the command below.
  const COPIED = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin",
    "stroke-linecap", "paint-order", "opacity", "font-family", "font-size", "font-weight", "text-anchor"];
  const copyStyles = (from, to) => {
    const style = getComputedStyle(from);
    for (const name of COPIED) to.style.setProperty(name, style.getPropertyValue(name));
    [...from.children].forEach((child, index) => copyStyles(child, to.children[index]));
  };
  const line = (text, x, y, size, colour, weight) => {
    const made = document.createElementNS(NS, "text");
    made.textContent = text;
    made.setAttribute("x", x);
    made.setAttribute("y", y);
    made.setAttribute("style", `font: ${weight} ${size}px sans-serif; fill: ${colour}`);
    return made;
  };
  const wrapped = (text, characters) => {
    const lines = [""];
    for (const word of text.split(/\s+/)) {
      for (let rest = word; rest; rest = rest.slice(characters)) {
        const part = rest.slice(0, characters);
        const last = lines[lines.length - 1];
        if (last && last.length + 1 + part.length > characters) lines.push(part);
        else lines[lines.length - 1] = last ? `${last} ${part}` : part;
      }
    }
    return lines;
  };
  const picture = (figure) => {
    const svg = shown(figure);
    const { width, height } = svg.viewBox.baseVal;
    const page = getComputedStyle(document.body);
    const copy = svg.cloneNode(true);
    copyStyles(svg, copy);
    copy.querySelectorAll(".hits").forEach((hits) => hits.remove());
    const repeat = figure.querySelector(".repeat code");
    const command = repeat ? wrapped(repeat.textContent, Math.floor(width / 6.2)).slice(0, 6) : [];
    const [top, bottom] = [30, 8 + 14 * command.length];
    const whole = [0, -top, width, height + top + bottom];
    copy.setAttribute("viewBox", whole.join(" "));
    copy.setAttribute("width", whole[2]);
    copy.setAttribute("height", whole[3]);
    const ground = document.createElementNS(NS, "rect");
    ["x", "y", "width", "height"].forEach((name, index) => ground.setAttribute(name, whole[index]));
    ground.setAttribute("fill", page.backgroundColor);
    copy.prepend(ground);
    const title = figure.querySelector("h3").textContent;
    copy.append(line(title, 10, -10, 15, page.color, 600));
    command.forEach((text, index) => copy.append(line(text, 10, height + 12 + 14 * index, 10, page.color, 400)));
    return { copy, width: whole[2], height: whole[3] };
  };
  const save = (figure) => {
    const { copy, width, height } = picture(figure);
    const image = new Image();
    image.onload = () => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [2 * width, 2 * height];
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = `${figure.id}.png`;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      });
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  };
  for (const button of document.querySelectorAll(".save")) {
    button.hidden = false;
    button.addEventListener("click", () => save(button.closest("figure")));
  }
})();
