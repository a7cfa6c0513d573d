// The photo as a surface in space, turned by pointer, keys or buttons. Drawn by three.js.

import {
  BufferAttribute, BufferGeometry, CanvasTexture, Line, LineBasicMaterial, Mesh, MeshBasicMaterial,
  OrbitControls, PerspectiveCamera, Scene, SphereGeometry, Spherical, SRGBColorSpace, WebGLRenderer,
} from "./three.js";

const VERTICES = 300_000; // a screen does not show more
const JUMP = 0.05; // relative depth step at which the surface is cut, as in the GLB file
const STEEP = 8; // depth step in pixel widths at which it is cut: 83° from facing the camera
const TURN = Math.PI / 24;
const KEYS = {
  ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down",
  "+": "nearer", "=": "nearer", "-": "farther", Home: "reset",
};

/** One scene in a canvas; axes are glTF's: X right, Y up, the camera looks along -Z. */
export class SceneView {
  /** @param {HTMLElement[]} labels of A, B and the length between them, placed over the canvas. */
  constructor(canvas, labels) {
    this.canvas = canvas;
    this.labels = labels;
    this.balls = [];
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.camera = new PerspectiveCamera(50, 1, 0.01, 1000);
    this.scene = new Scene();
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.addEventListener("change", () => this.draw());
    canvas.addEventListener("keydown", (event) => {
      if (!KEYS[event.key] || event.altKey || event.ctrlKey || event.metaKey) return;
      this.turn(KEYS[event.key]);
      event.preventDefault();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show a map in space, with a picture of the same shape as its texture. */
  show(map, picture) {
    this.clear();
    this.map = map;
    const texture = new CanvasTexture(picture);
    texture.colorSpace = SRGBColorSpace;
    texture.anisotropy = 4;
    this.relief = new Mesh(reliefOf(map), new MeshBasicMaterial({ map: texture, side: 2 }));
    this.scene.add(this.relief);
    this.reset();
  }

  clear() {
    for (const child of [...this.scene.children]) {
      this.scene.remove(child);
      child.geometry.dispose();
      child.material.map?.dispose();
      child.material.dispose();
    }
  }

  /** Return to the camera’s position. */
  reset() {
    const { metres, width, height, camera } = this.map;
    const known = metres.filter((value) => value > 0).sort();
    const middle = known[known.length >> 1] ?? 1;
    this.fit = { tall: height / 2 / camera.fy, wide: width / 2 / camera.fx };
    this.camera.position.set(0, 0, 0.12 * middle);
    this.controls.target.set(0, 0, -middle);
    this.camera.near = middle / 200;
    this.camera.far = middle * 50;
    this.controls.update();
    this.draw();
  }

  /** Step aside a little, so that the scene looks like one from the start. */
  lookAround() {
    for (const way of ["left", "left", "up"]) this.turn(way);
  }

  turn(way) {
    if (way === "reset") return this.reset();
    const offset = this.camera.position.clone().sub(this.controls.target);
    const place = new Spherical().setFromVector3(offset);
    place.theta += { left: TURN, right: -TURN }[way] ?? 0;
    place.phi += { up: TURN, down: -TURN }[way] ?? 0;
    place.radius *= { nearer: 1 / 1.2, farther: 1.2 }[way] ?? 1;
    place.makeSafe();
    this.camera.position.setFromSpherical(place).add(this.controls.target);
    this.controls.update();
    return this.draw();
  }

  /** Draw the measured points and the line between them; `text` is its length. */
  mark(points, text) {
    this.scene.children.filter((child) => child !== this.relief).forEach((child) => {
      this.scene.remove(child);
      child.geometry.dispose();
      child.material.dispose();
    });
    this.balls = [];
    this.labels[2].textContent = text;
    const places = points.map((position) => this.map.point(position)).filter(Boolean);
    for (const [k, [x, y, z]] of places.entries()) {
      const ball = new Mesh(
        new SphereGeometry(z * 0.012, 20, 12),
        new MeshBasicMaterial({ color: k ? 0xffb000 : 0x35c2ff, depthTest: false }),
      );
      ball.position.set(x, -y, -z);
      this.scene.add(ball);
      this.balls.push(ball);
    }
    if (places.length === 2) {
      const ends = new Float32Array(places.flatMap(([x, y, z]) => [x, -y, -z]));
      const line = new BufferGeometry().setAttribute("position", new BufferAttribute(ends, 3));
      this.scene.add(new Line(line, new LineBasicMaterial({ color: 0xffffff, depthTest: false })));
      this.balls.push({ position: this.balls[0].position.clone().lerp(this.balls[1].position, 0.5) });
    }
    this.draw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height || !this.fit) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    const tall = Math.max(this.fit.tall, this.fit.wide / this.camera.aspect);
    this.camera.fov = Math.min(120, (2 * Math.atan(tall) * 180) / Math.PI);
    this.camera.updateProjectionMatrix();
    this.renderer.render(this.scene, this.camera);
    this.labels.forEach((label, k) => this.place(label, this.balls[k], width, height));
  }

  /** Put a label beside its point on the screen. */
  place(label, ball, width, height) {
    const seen = ball?.position.clone().project(this.camera);
    label.hidden = !seen || Math.abs(seen.z) > 1;
    if (label.hidden) return;
    label.style.left = `${((seen.x + 1) / 2) * width}px`;
    label.style.top = `${((1 - seen.y) / 2) * height}px`;
  }
}

/** Vertices, texture positions and triangles, cut where the depth jumps or the surface is steep. */
function reliefOf({ metres, width, height, camera }) {
  const step = Math.max(1, Math.ceil(Math.sqrt((width * height) / VERTICES)));
  const across = Math.ceil(width / step), down = Math.ceil(height / step);
  const places = new Float32Array(3 * across * down), texels = new Float32Array(2 * across * down);
  for (let row = 0, k = 0; row < down; row += 1) {
    for (let column = 0; column < across; column += 1, k += 1) {
      const x = column * step, y = row * step, z = metres[y * width + x];
      places.set([((x - camera.cx) / camera.fx) * z, -((y - camera.cy) / camera.fy) * z, -z], 3 * k);
      texels.set([(x + 0.5) / width, 1 - (y + 0.5) / height], 2 * k);
    }
  }
  const corners = [];
  const joined = (...three) => {
    const depths = three.map((k) => -places[3 * k + 2]);
    const near = Math.min(...depths), jump = Math.max(...depths) - near;
    const width = (near * step) / camera.fx;
    if (near > 0 && jump <= near * JUMP && jump <= STEEP * width) corners.push(...three);
  };
  for (let row = 0; row + 1 < down; row += 1) {
    for (let column = 0; column + 1 < across; column += 1) {
      const a = row * across + column, c = a + across;
      joined(a, c, a + 1);
      joined(a + 1, c, c + 1);
    }
  }
  return new BufferGeometry()
    .setAttribute("position", new BufferAttribute(places, 3))
    .setAttribute("uv", new BufferAttribute(texels, 2))
    .setIndex(new BufferAttribute(new Uint32Array(corners), 1));
}
