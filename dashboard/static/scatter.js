// A map of many points: zoom, move or turn, hover, and pick with a box or a lasso.
//
// Points are written straight into the pixels of a canvas: 100,000 of them take some ten
// milliseconds, on any machine, with or without a graphics card.
//
// What comes in: uint32 length of a JSON header, the header, uint16 [point, axis], uint8 colour
// [point] (255 for none), and uint8 flags [point]: 1 picked, 2 false neighbours.

const NONE = 255, PICKED = 1, FALSE = 2;
const QUIET = window.matchMedia('(prefers-reduced-motion: reduce)');

class Scene {
  constructor(root) {
    this.root = root;
    this.canvas = root.querySelector('canvas');
    this.ink = this.canvas.getContext('2d');
    this.over = root.querySelector('svg');
    this.card = root.querySelector('.card');
    this.mode = 'lasso';
    this.only = -1;
    this.home();
    this.listen();
    new ResizeObserver(() => this.later()).observe(this.canvas);
  }

  home() {
    this.zoom = 1; this.x = 0; this.y = 12;  // below the buttons
    this.turn = [1, 0, 0, 0, 0.94, -0.34, 0, 0.34, 0.94];
  }

  // ---- what comes in -------------------------------------------------------------------------

  take(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = view.getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
    const { count, dim } = head;
    let at = 4 + length;
    const places = new Float32Array(count * 3);
    for (let i = 0; i < count; i++)
      for (let d = 0; d < dim; d++, at += 2)
        places[3 * i + d] = view.getUint16(at, true) / 32767.5 - 1;
    this.colour = bytes.slice(at, at + count);
    this.flags = bytes.slice(at + count, at + 2 * count);
    const old = this.head && this.head.count === count && this.head.map !== head.map && this.shown;
    if (!this.head || this.head.map !== head.map) this.only = -1;
    if (!this.head || this.head.data !== head.data) {
      this.home();
      this.hold(dim === 3 ? 'move' : 'lasso');
      this.root.querySelector('[value=move]').textContent = dim === 3 ? 'Turn' : 'Move';
    }
    this.cards = this.head && this.head.cards && head.cards
      && this.head.cards.url === head.cards.url ? this.cards : null;
    this.head = head;
    this.places = places;
    this.cells = head.density ? bytes.slice(at + 2 * count) : null;
    this.picked = this.flags.some((flag) => flag & PICKED);
    this.furnish();
    if (old && !QUIET.matches) this.morph(old); else { this.shown = places; this.later(); }
    this.root.dataset.map = head.map;  // for whoever waits for it
    this.root.dataset.picked = this.flags.reduce((sum, flag) => sum + (flag & PICKED), 0);
  }

  morph(from) {  // the same examples on another map: they walk there
    const start = performance.now(), to = this.places;
    const step = (now) => {
      if (this.places !== to) return;
      const t = Math.min(1, (now - start) / 700), s = t * t * (3 - 2 * t);
      if (t === 1) this.shown = to;
      else {
        this.shown = new Float32Array(to.length);
        for (let i = 0; i < to.length; i++) this.shown[i] = from[i] + (to[i] - from[i]) * s;
      }
      this.draw();
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  furnish() {  // legend, names of axes, colours of the page
    const { legend, bar, tone, axes, title } = this.head;
    for (const name in tone) this.root.style.setProperty('--' + name, tone[name]);
    this.canvas.setAttribute('aria-label', title);
    this.root.classList.toggle('compact', this.head.compact);
    const box = this.root.querySelector('.legend');
    box.replaceChildren();
    for (const entry of legend) {
      const item = document.createElement('button');
      item.type = 'button';
      item.innerHTML = mark(entry.shape, entry.colour);
      item.append(entry.name);
      item.title = `${entry.name}: ${entry.count.toLocaleString('en')}`;
      item.setAttribute('aria-pressed', String(this.only === entry.index));
      item.onclick = () => {
        this.only = this.only === entry.index ? -1 : entry.index;
        for (const each of box.children) each.setAttribute('aria-pressed', 'false');
        item.setAttribute('aria-pressed', String(this.only === entry.index));
        this.later();
      };
      box.append(item);
    }
    if (bar) {
      const strip = document.createElement('div');
      strip.className = 'bar';
      for (const text of [bar.low, null, bar.high]) {
        const part = document.createElement('span');
        if (text === null) part.style.background = `linear-gradient(90deg, ${bar.colours})`;
        else part.textContent = text;
        strip.append(part);
      }
      box.append(strip);
    }
    const names = this.root.querySelectorAll('.axis');
    names.forEach((node, place) => { node.textContent = axes[place] || ''; });
  }

  // ---- drawing -------------------------------------------------------------------------------

  later() {
    if (this.due) return;
    this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); });
  }

  measure() {
    const sharp = Math.min(2, window.devicePixelRatio || 1);
    const width = Math.round(this.canvas.clientWidth * sharp);
    const height = Math.round(this.canvas.clientHeight * sharp);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width; this.canvas.height = height;
    }
    const half = Math.min(width, height) / 2;
    return { width, height, sharp, scale: 0.88 * half * this.zoom };
  }

  project() {  // screen places [point, 2] of what is shown, in pixels of the canvas
    const { width, height, scale, sharp } = this.measure();
    const from = this.shown, count = this.head.count, to = new Float32Array(2 * count);
    const cx = width / 2 + this.x * sharp, cy = height / 2 + this.y * sharp;
    if (this.head.dim === 2) {
      for (let i = 0; i < count; i++) {
        to[2 * i] = cx + from[3 * i] * scale;
        to[2 * i + 1] = cy - from[3 * i + 1] * scale;
      }
    } else {
      const m = this.turn, s = scale * 0.85;
      for (let i = 0; i < count; i++) {
        const a = from[3 * i], b = from[3 * i + 1], c = from[3 * i + 2];
        to[2 * i] = cx + (m[0] * a + m[1] * b + m[2] * c) * s;
        to[2 * i + 1] = cy - (m[3] * a + m[4] * b + m[5] * c) * s;
      }
    }
    return to;
  }

  draw() {
    if (!this.head || !this.canvas.clientWidth) return;
    const { width, height, sharp } = this.measure();
    const at = this.at = this.project();
    const { count, palette, shapes, tone } = this.head;
    const image = this.ink.createImageData(width, height);
    const pixels = image.data, page = rgb(tone.page);
    new Uint32Array(pixels.buffer).fill(
      (255 << 24 | page[2] << 16 | page[1] << 8 | page[0]) >>> 0);
    const near = count > 20000 ? 1.4 : count > 4000 ? 2.2 : count > 1500 ? 2.8 : 3.6;
    const radius = near * sharp * Math.min(2, Math.sqrt(this.zoom));
    const colours = palette.map(rgb), grey = rgb(tone.quiet);
    const stamps = [0, 1, 2, 3].map((shape) => stamp(shape, radius));
    const ring = stamp(4, radius * 1.9);
    const faded = (i) => (this.picked && !(this.flags[i] & PICKED))
      || (this.only >= 0 && this.colour[i] !== this.only);
    for (const behind of [true, false])
      for (let i = 0; i < count; i++) {
        if (faded(i) !== behind) continue;
        const index = this.colour[i];
        const colour = index === NONE ? grey : colours[index];
        const shape = index === NONE ? 0 : shapes[index] || 0;
        blot(pixels, width, height, at[2 * i], at[2 * i + 1], stamps[shape], colour,
          behind ? 0.13 : 0.85);
        if (this.flags[i] & FALSE && !behind && this.head.rings)
          blot(pixels, width, height, at[2 * i], at[2 * i + 1], ring, rgb(tone.text), 0.8);
      }
    this.ink.putImageData(image, 0, 0);
    if (this.cells) this.crowd(page);
    this.pins(sharp);
    if (this.head.many) this.tellLook();
  }

  crowd(page) {  // how many points lie where
    const { box, size } = this.head.density, [rows, columns] = size;
    const { width, height, scale, sharp } = this.measure();
    if (this.drawn !== this.cells) {
      this.drawn = this.cells;
      this.sheet = new OffscreenCanvas(columns, rows);
      const ink = this.sheet.getContext('2d'), image = ink.createImageData(columns, rows);
      const full = rgb(this.head.tone.accent);
      this.cells.forEach((value, i) => {
        if (!value) return;
        const share = 0.25 + 0.75 * value / 255;
        for (let c = 0; c < 3; c++)
          image.data[4 * i + c] = page[c] + (full[c] - page[c]) * share;
        image.data[4 * i + 3] = 255;
      });
      ink.putImageData(image, 0, 0);
    }
    const [left, low, right, high] = box;
    const cx = width / 2 + this.x * sharp, cy = height / 2 + this.y * sharp;
    this.ink.imageSmoothingEnabled = false;
    this.ink.drawImage(this.sheet, cx + left * scale, cy - high * scale,
      (right - left) * scale, (high - low) * scale);
  }

  tellLook() {  // which part of a map of too many points is seen
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      const { width, height, scale, sharp } = this.measure();
      const cx = width / 2 + this.x * sharp, cy = height / 2 + this.y * sharp;
      const whole = this.zoom <= 1.3;
      const box = whole ? null : [-cx, cy - height, width - cx, cy].map(
        (each) => Math.round(each / scale * 1e4) / 1e4);
      const said = JSON.stringify(box);
      if (said === (this.said || 'null')) return;
      this.said = said;
      this.keep('looked', box);
    }, 250);
  }

  pins(sharp) {  // the example in hand
    this.over.querySelectorAll('.pin').forEach((node) => node.remove());
    for (const { row, name, place } of this.head.pins) {
      let x, y;
      if (row >= 0) { x = this.at[2 * row] / sharp; y = this.at[2 * row + 1] / sharp; }
      else [x, y] = this.where(place);
      const pin = document.createElementNS('http://www.w3.org/2000/svg', 'g');
      pin.setAttribute('class', 'pin');
      pin.innerHTML = `<circle cx="${x}" cy="${y}" r="9"/><circle cx="${x}" cy="${y}" r="3"/>`;
      const words = document.createElementNS('http://www.w3.org/2000/svg', 'text');
      const left = x > this.canvas.clientWidth - 160;
      words.setAttribute('x', left ? x - 13 : x + 13);
      words.setAttribute('y', y + 4);
      if (left) words.setAttribute('text-anchor', 'end');
      words.textContent = name;
      pin.append(words);
      this.over.append(pin);
    }
  }

  where(place) {  // of a point that is not one of the examples
    const kept = [this.shown, this.head];
    this.shown = new Float32Array([place[0], place[1], place[2] || 0]);
    this.head = { ...this.head, count: 1 };
    const { sharp } = this.measure(), at = this.project();
    [this.shown, this.head] = kept;
    return [at[0] / sharp, at[1] / sharp];
  }

  // ---- hands ---------------------------------------------------------------------------------

  listen() {
    const canvas = this.canvas;
    let drag = null;
    canvas.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      const mode = event.shiftKey ? 'move' : this.mode;
      drag = { mode, path: [[event.offsetX, event.offsetY]], last: [event.clientX, event.clientY] };
      this.card.hidden = true;
    });
    canvas.addEventListener('pointermove', (event) => {
      if (!drag) return this.hover(event.offsetX, event.offsetY);
      const dx = event.clientX - drag.last[0], dy = event.clientY - drag.last[1];
      drag.last = [event.clientX, event.clientY];
      drag.path.push([event.offsetX, event.offsetY]);
      if (drag.mode === 'move') this.move(dx, dy);
      else this.outline(shape(drag));
    });
    canvas.addEventListener('pointerup', (event) => {
      if (!drag) return;
      const done = drag;
      drag = null;
      this.outline([]);
      const [start, end] = [done.path[0], [event.offsetX, event.offsetY]];
      done.path.push(end);
      if (length(done.path) < 6) return this.click(...start);
      if (done.mode !== 'move') this.pick(shape(done));
    });
    canvas.addEventListener('pointercancel', () => { drag = null; this.outline([]); });
    canvas.addEventListener('pointerleave', () => { this.card.hidden = true; });
    canvas.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.scaleBy(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener('dblclick', () => { this.home(); this.later(); });
    canvas.addEventListener('keydown', (event) => {
      const way = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] };
      if (way[event.key]) this.move(...way[event.key]);
      else if (event.key === '+' || event.key === '=') this.scaleBy(1.25);
      else if (event.key === '-') this.scaleBy(0.8);
      else if (event.key === '0') { this.home(); this.later(); }
      else if (event.key === 'Escape') this.tell('drawn', { rows: '' });
      else return;
      event.preventDefault();
    });
    for (const button of this.root.querySelectorAll('.tools button'))
      button.onclick = () => {
        if (button.value === 'home') { this.home(); this.later(); return; }
        this.hold(button.value);
      };
  }

  hold(mode) {  // what dragging does
    this.mode = mode;
    for (const each of this.root.querySelectorAll('.tools button[aria-pressed]'))
      each.setAttribute('aria-pressed', String(each.value === mode));
    this.canvas.style.cursor = mode === 'move' ? 'grab' : 'crosshair';
  }

  move(dx, dy) {
    if (this.head.dim === 2) { this.x += dx; this.y += dy; }
    else {
      const [a, b] = [dx * 0.008, dy * 0.008];
      const yaw = [Math.cos(a), 0, Math.sin(a), 0, 1, 0, -Math.sin(a), 0, Math.cos(a)];
      const pitch = [1, 0, 0, 0, Math.cos(b), -Math.sin(b), 0, Math.sin(b), Math.cos(b)];
      this.turn = times(pitch, times(yaw, this.turn));
    }
    this.later();
  }

  scaleBy(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const zoom = Math.min(200, Math.max(0.5, this.zoom * factor)), by = zoom / this.zoom;
    const cx = this.canvas.clientWidth / 2, cy = this.canvas.clientHeight / 2;
    this.x = x - cx - (x - cx - this.x) * by;
    this.y = y - cy - (y - cy - this.y) * by;
    this.zoom = zoom;
    this.later();
  }

  nearest(x, y) {
    const sharp = this.canvas.width / this.canvas.clientWidth;
    let best = (12 * sharp) ** 2, row = -1;
    for (let i = 0; i < this.head.count; i++) {
      if (this.only >= 0 && this.colour[i] !== this.only) continue;
      const a = this.at[2 * i] - x * sharp, b = this.at[2 * i + 1] - y * sharp;
      const far = a * a + b * b;
      if (far < best) { best = far; row = i; }
    }
    return row;
  }

  click(x, y) {
    const row = this.nearest(x, y);
    if (row >= 0) this.tell('clicked', { row });
  }

  pick(polygon) {
    const sharp = this.canvas.width / this.canvas.clientWidth;
    if (this.head.many) {
      const { width, height, scale } = this.measure();
      const cx = width / 2 + this.x * sharp, cy = height / 2 + this.y * sharp;
      this.tell('drawn', { outline: polygon.map(
        ([x, y]) => [(x * sharp - cx) / scale, (cy - y * sharp) / scale]) });
      return;
    }
    const bits = new Uint8Array(
      Math.ceil(this.head.count / 8));
    let any = 0;
    for (let i = 0; i < this.head.count; i++) {
      if (this.only >= 0 && this.colour[i] !== this.only) continue;
      if (!inside(polygon, this.at[2 * i] / sharp, this.at[2 * i + 1] / sharp)) continue;
      bits[i >> 3] |= 128 >> (i & 7);
      any += 1;
    }
    if (!any) return;
    this.picked = true;  // shown at once; the page's answer follows
    for (let i = 0; i < this.head.count; i++) {
      const own = bits[i >> 3] & (128 >> (i & 7)) ? PICKED : 0;
      this.flags[i] = (this.flags[i] & ~PICKED) | own;
    }
    this.draw();
    let text = '';
    for (let i = 0; i < bits.length; i += 8192)
      text += String.fromCharCode(...bits.subarray(i, i + 8192));
    this.tell('drawn', { rows: btoa(text), map: this.head.map });
  }

  outline(polygon) {
    const line = this.over.querySelector('polygon');
    line.setAttribute('points', polygon.map((point) => point.join(',')).join(' '));
  }

  // ---- what a point is -----------------------------------------------------------------------

  hover(x, y) {
    const row = this.head ? this.nearest(x, y) : -1;
    this.card.hidden = row < 0;
    if (row < 0) { this.row = -1; return; }
    if (row !== this.row) { this.row = row; this.fill(row); }
    const [w, h] = [this.card.offsetWidth, this.card.offsetHeight];
    const right = x + 18 + w < this.canvas.clientWidth;
    this.card.style.left = `${right ? x + 18 : Math.max(0, x - 18 - w)}px`;
    this.card.style.top = `${Math.max(0, Math.min(y - 12, this.canvas.clientHeight - h))}px`;
  }

  async fill(row) {
    const { cards } = this.head;
    const [picture, words] = this.card.children;
    picture.hidden = true;
    words.textContent = `Example ${row + 1}`;
    if (!cards) return;
    if (!this.cards) this.cards = fetch(cards.url).then((answer) => answer.json());
    const { lines, texts, atlas, size, across } = await this.cards;
    if (row !== this.row) return;
    words.textContent = lines[row];
    if (texts) {
      const quote = document.createElement('q');
      quote.textContent = texts[row];
      words.prepend(quote);
    }
    if (atlas) {
      picture.hidden = false;
      const zoom = Math.max(1, Math.round(112 / size));
      picture.style.width = picture.style.height = `${size * zoom}px`;
      picture.style.backgroundImage = `url(${atlas})`;
      picture.style.backgroundSize = `${across * size * zoom}px auto`;
      picture.style.backgroundPosition =
        `${-(row % across) * size * zoom}px ${-Math.floor(row / across) * size * zoom}px`;
      picture.style.imageRendering = size < 40 ? 'pixelated' : 'auto';
    }
  }
}

// ---- geometry --------------------------------------------------------------------------------

function shape({ mode, path }) {
  if (mode !== 'box') return path;
  const [[a, b], [c, d]] = [path[0], path[path.length - 1]];
  return [[a, b], [c, b], [c, d], [a, d]];
}

function length(path) {
  let sum = 0;
  for (let i = 1; i < path.length; i++)
    sum += Math.hypot(path[i][0] - path[i - 1][0], path[i][1] - path[i - 1][1]);
  return sum;
}

function inside(polygon, x, y) {  // even-odd rule
  let found = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [a, b] = polygon[i], [c, d] = polygon[j];
    if ((b > y) !== (d > y) && x < ((c - a) * (y - b)) / (d - b) + a) found = !found;
  }
  return found;
}

function times(a, b) {
  const c = new Array(9).fill(0);
  for (let i = 0; i < 3; i++)
    for (let j = 0; j < 3; j++)
      for (let k = 0; k < 3; k++) c[3 * i + j] += a[3 * i + k] * b[3 * k + j];
  return c;
}

// ---- pixels ----------------------------------------------------------------------------------

function rgb(colour) {
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}

function stamp(shape, radius) {  // [dx, dy, cover …] of a disc, square, diamond, triangle or ring
  const out = [], most = Math.ceil(radius + 1);
  for (let y = -most; y <= most; y++)
    for (let x = -most; x <= most; x++) {
      const far = [
        Math.hypot(x, y), Math.max(Math.abs(x), Math.abs(y)) * 1.12,
        (Math.abs(x) + Math.abs(y)) * 0.8,
        Math.max(y * 1.25, Math.abs(x) * 1.2 - y * 0.62),
        radius - 0.8 + Math.abs(Math.hypot(x, y) - radius + 1) * 1.2,
      ][shape];
      const cover = Math.min(1, Math.max(0, radius + 0.5 - far));
      if (cover > 0) out.push(x, y, cover);
    }
  return new Float32Array(out);
}

function blot(pixels, width, height, x, y, stamp, [r, g, b], opacity) {
  x = Math.round(x); y = Math.round(y);
  if (x < -40 || y < -40 || x > width + 40 || y > height + 40) return;
  for (let i = 0; i < stamp.length; i += 3) {
    const column = x + stamp[i], row = y + stamp[i + 1];
    if (column < 0 || row < 0 || column >= width || row >= height) continue;
    const at = 4 * (row * width + column), cover = stamp[i + 2] * opacity, rest = 1 - cover;
    pixels[at] = pixels[at] * rest + r * cover;
    pixels[at + 1] = pixels[at + 1] * rest + g * cover;
    pixels[at + 2] = pixels[at + 2] * rest + b * cover;
  }
}

function mark(shape, colour) {
  const body = [
    '<circle cx="6" cy="6" r="4.5"/>', '<rect x="2" y="2" width="8" height="8"/>',
    '<path d="M6 .8 11.2 6 6 11.2 .8 6z"/>', '<path d="M6 1.2 11 10H1z"/>',
  ][shape] || '';
  return `<svg width="12" height="12" viewBox="0 0 12 12" fill="${colour}">${body}</svg>`;
}

export default function ({ data, parentElement, setTriggerValue, setStateValue }) {
  const root = parentElement.querySelector('.scatter');
  const scene = root.scene || (root.scene = new Scene(root));
  scene.tell = setTriggerValue;
  scene.keep = setStateValue;
  scene.take(data);
}
