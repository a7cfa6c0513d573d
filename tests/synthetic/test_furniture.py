"""Furniture meshes: what files hold, true sizes, exact depth, and rooms full of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glpn.errors import DataError, MissingDependency, MissingInput, UsageError
from glpn.synthetic import render, render_scenes, sample_scene, write_dataset
from glpn.synthetic.furniture_models.catalogue import Library, open_library
from glpn.synthetic.furniture_models.facing import quarter_turns
from glpn.synthetic.furniture_models.kinds import kind_of
from glpn.synthetic.furniture_models.obj import read_obj
from glpn.synthetic.furniture_models.tracer import MISS, Tracer
from glpn.synthetic.scenes import coverings, mesh_furniture, seating
from glpn.synthetic.scenes.kit import Kit
from glpn.synthetic.scenes.rooms import sample_room
from glpn.synthetic.scenes.scene import View, assemble, looking, trace
from glpn.synthetic.scenes.shell import Opening, Wall
from glpn.synthetic.scenes.solids import Piece, Thing, turn_about_z

from .furniture import CUBE, PICTURE, RED, picture, reader, scaled, write_catalogue
from .scenes import GREY, LAMP, block, view
from .scenes import scene as scene_of

SIZE = (72, 96)
WHITE = (1.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("furniture")
    write_catalogue(folder / "boxes.sh3f")
    return folder


def cube(material: Any = RED) -> Any:
    return read_obj("box.obj", reader({"box.obj": CUBE, "box.mtl": material}))


def textured(colour: Any) -> Any:
    files = {
        "a/box.obj": CUBE.encode(),
        "a/box.mtl": PICTURE.encode(),
        "a/picture.png": picture(colour),
    }
    return read_obj("a/box.obj", files.__getitem__)


def mesh_piece(mesh: Any, at: Any = (0, 0, 0), matrix: Any = None) -> Any:
    piece = Piece()
    piece.things.append(Thing(mesh, np.eye(3) if matrix is None else matrix, np.array(at, float)))
    return piece


def mesh_scene(*pieces: Any, view: Any) -> Any:
    return assemble(
        pieces,
        [GREY],
        lights=[LAMP],
        ambient=((0.5,) * 3, (0.3,) * 3),
        camera=(view, scene_of(block((0, 1), (0, 1), (0, 1)), view=view).sensor),
        tracer=trace(pieces),
    )


# --- files


def test_polygons_become_triangles_with_the_colour_of_their_material() -> None:
    mesh = cube()
    assert mesh.corners.shape == (12, 3, 3)
    assert mesh.bounds.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert [mesh.paints[i].colour for i in set(mesh.paint.tolist())] == [(1, 0, 0)]


def test_indices_from_the_end_and_faces_without_texture_are_read() -> None:
    triangle = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvn 0 0 1\nf -3//-1 -2//-1 -1//-1\nv 0 0 9\nf 1 2 4\n"
    mesh = read_obj("t.obj", reader({"t.obj": triangle}))
    assert mesh.corners.tolist() == [
        [[0, 0, 0], [1, 0, 0], [0, 1, 0]],
        [[0, 0, 0], [1, 0, 0], [0, 0, 9]],
    ]
    np.testing.assert_allclose(mesh.normals[0], [[0, 0, 1]] * 3)
    np.testing.assert_allclose(mesh.normals[1], [[0, -1, 0]] * 3)


@pytest.mark.parametrize(
    "text", ["", "v 0 0 0\nf 1 1\n", "v 0 0 0\nf 1 2 3\n", "v 0 x 0\nf 1 1 1\n"]
)
def test_a_file_without_triangles_is_refused_by_name(text: str) -> None:
    with pytest.raises(DataError, match=r"chair\.obj"):
        read_obj("chair.obj", reader({"chair.obj": text}))


# --- catalogues


def test_models_have_the_size_of_the_catalogue_and_their_back_at_the_wall(folder: Path) -> None:
    library = open_library(folder)
    (sofa,) = library.kinds["sofa"]
    low, high = library.load(sofa).bounds
    np.testing.assert_allclose(low, [-0.9, 0, 0], atol=1e-6)
    np.testing.assert_allclose(high, [0.9, 0.8, 0.8], atol=1e-6)


def test_the_front_of_a_catalogues_model_faces_the_room(tmp_path: Path) -> None:
    """Sweet Home 3D models face +z, with y up; pieces face +y, with z up."""
    write_catalogue(tmp_path / "one.sh3f", [("Sofa", "Living room", 100, 100, 100)])
    library = open_library(tmp_path)
    mesh = library.load(library.models[0])
    front = (mesh.corners[..., 1] > 0.999).all(1)
    # The last vertices of CUBE, z = 1, are the front; texture coordinates tell the faces apart.
    source = cube()
    assert np.array_equal(front, (source.corners[..., 2] > 0.999).all(1))
    assert np.array_equal(
        (mesh.corners[..., 2] > 0.999).all(1), (source.corners[..., 1] > 0.999).all(1)
    )


def test_vehicles_are_left_outside(folder: Path) -> None:
    assert "Truck" not in {model.name for model in open_library(folder).models}


def test_credits_name_creators_licences_and_models(folder: Path) -> None:
    text = open_library(folder).credits()
    assert "boxes.sh3f: CC0" in text and "- A. Maker: Bed, Bookcase" in text


def test_loose_files_are_furniture_by_their_names(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "house_SofaB_01.obj").write_text(scaled(CUBE, (1.8, 0.8, 0.7)))
    (tmp_path / "models" / "house_Wall_01.obj").write_text(scaled(CUBE, (9, 0.1, 3)))
    library = open_library(tmp_path)
    assert [(model.kind, model.file) for model in library.models] == [
        ("sofa", "models/house_SofaB_01.obj")
    ]
    assert np.ptp(library.load(library.models[0]).bounds, axis=0).max() == pytest.approx(1.8)


@pytest.mark.parametrize("turns", range(4))
def test_the_high_side_of_a_chair_is_its_back(turns: Any) -> None:
    seat = scaled(CUBE, (0.5, 0.5, 0.4))
    back = scaled(CUBE, (0.5, 0.05, 0.9))
    parts = [read_obj("c.obj", reader({"c.obj": text})) for text in (seat, back)]
    make: Any = type(parts[0])
    chair = make(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("corners", "normals", "uv", "paint")
        ),
        parts[0].paints,
    )
    turned = chair.placed(turn_about_z(turns * np.pi / 2), np.zeros(3))
    assert (quarter_turns(turned, "chair") + turns) % 4 == 0


@pytest.mark.parametrize(
    ("name", "category", "size", "kind"),
    [
        ("Desk lamp", "Lights", (0.2, 0.3, 0.4), "table lamp"),
        ("Chair", "Office", (0.6, 0.6, 0.9), "office chair"),
        ("Television cabinet", "", (1.3, 0.5, 0.6), "tv stand"),
        ("Coffee cup", "Kitchen", (0.1, 0.1, 0.1), "kitchenware"),
        ("Palm tree", "Exterior", (3, 3, 11), None),
    ],
)
def test_the_name_category_and_size_of_a_model_decide_its_kind(
    name: str, category: str, size: tuple[float, float, float], kind: str | None
) -> None:
    assert kind_of(name, category, size) == kind


def test_folders_without_furniture_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="nowhere"):
        open_library(tmp_path / "nowhere")
    with pytest.raises(DataError, match="found none"):
        open_library(tmp_path)
    (tmp_path / "broken.sh3f").write_bytes(b"not an archive")
    with pytest.raises(DataError, match=r"broken\.sh3f"):
        open_library(tmp_path / "broken.sh3f")


# --- rays


@pytest.fixture(scope="module")
def pair() -> list[Any]:
    """A turned box in front of a wall, as a mesh and as a solid."""
    pytest.importorskip("embreex")
    eye = view((-2.0, 0.3, 1.1), yaw=0.05, pitch=-0.2, roll=0.1)
    wall = block((2, 2.1), (-4, 4), (-4, 4))
    turn = turn_about_z(0.4)
    solid = Piece()
    solid.add(block((0, 1), (0, 1), (0, 1)), (0, 0, 0), 0.4)
    mesh = mesh_piece(cube(), matrix=turn)
    scenes = mesh_scene(wall, mesh, view=eye), mesh_scene(wall, solid, view=eye)
    return [render_scenes([scene], SIZE) for scene in scenes]


def test_depth_normals_and_instances_of_a_mesh_are_those_of_the_same_solid(pair: list[Any]) -> None:
    mesh, solid = pair
    assert (solid.instance == 2).float().mean() > 0.05
    torch.testing.assert_close(mesh.depth, solid.depth, rtol=2e-5, atol=2e-5)
    assert torch.equal(mesh.instance, solid.instance)
    torch.testing.assert_close(mesh.normal, solid.normal, rtol=0, atol=1e-4)


def test_a_mesh_is_painted_with_its_colour_and_casts_a_shadow(pair: list[Any]) -> None:
    mesh, _ = pair
    box = mesh.image[0][mesh.instance[0] == 2].float().mean(0)
    assert box[0] > 3 * box[1]
    maps = [image.image[0][image.instance[0] == 1].float().std() for image in pair]
    assert maps[0] == pytest.approx(float(maps[1]), rel=0.25)


def test_both_sides_of_a_face_are_seen() -> None:
    pytest.importorskip("embreex")
    tracer = Tracer([(cube(), 1, WHITE)])
    rays = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0]], np.float32)
    found = tracer.cast(np.array([0.4, 0.3, 0.25], np.float32), rays)
    np.testing.assert_allclose(found.depth, [0.75, 0.25, 0.6], atol=1e-6)
    skin = tracer.skin(found, rays, np.full(3, 0.01, np.float32))
    np.testing.assert_allclose((skin.normal * rays).sum(1), -1, atol=1e-6)


def test_rays_pass_where_a_texture_is_transparent() -> None:
    pytest.importorskip("embreex")
    origin, ray = np.array([0.5, 0.5, -3], np.float32), np.array([[0, 0, 1]], np.float32)
    opaque = Tracer([(textured((0, 0, 255, 255)), 1, WHITE)])
    found = opaque.cast(origin, ray)
    assert found.depth[0] == pytest.approx(3)
    colour = opaque.skin(found, ray, np.full(1, 0.01, np.float32)).colour[0]
    assert colour[2] > 0.8 and colour[0] < 0.01
    clear = Tracer([(textured((0, 0, 255, 0)), 1, WHITE)])
    assert clear.cast(origin, ray).triangle[0] == MISS


def test_without_embree_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    with pytest.raises(MissingDependency, match="synthetic"):
        Tracer([(cube(), 1, WHITE)])


# --- rooms


def test_small_things_stand_on_tables_without_touching(folder: Path) -> None:
    kit = Kit(np.random.default_rng(3), open_library(folder))
    stock = mesh_furniture.Stock(("table",), ("kitchenware", "ornament"), 8)
    table = mesh_furniture.from_stock(kit, stock)
    boxes = np.array([thing.bounds() for thing in table.things[1:]])
    assert len(boxes) >= 3
    np.testing.assert_allclose(boxes[:, 0, 2], 0.75, atol=1e-5)
    assert (boxes[:, 0, 0] > -0.71).all() and (boxes[:, 1, 0] < 0.71).all()


def test_furniture_of_a_room_does_not_intersect(folder: Path) -> None:
    room = sample_room(Kit(np.random.default_rng((7, 1)), open_library(folder)))
    assert sum(len(piece.things) for piece in room.pieces) > 3
    boxes = np.array(room.taken)
    low, high = (
        np.maximum(boxes[:, None, 0], boxes[None, :, 0]),
        np.minimum(boxes[:, None, 1], boxes[None, :, 1]),
    )
    meet = (high - low > 0.021).all(-1)
    np.fill_diagonal(meet, False)
    doors = [i for i, box in enumerate(room.taken) if np.ptp(box, axis=0).min() < 0.61]
    assert not np.delete(np.delete(meet, doors, 0), doors, 1).any()


def test_a_seed_gives_the_same_furnished_room_in_any_batch(folder: Path) -> None:
    pytest.importorskip("embreex")
    options = {"furniture": folder, "cameras": "handheld"}
    one = render([2], SIZE, **options)
    both = render([1, 2], SIZE, **options)
    for name in ("image", "depth", "normal", "instance"):
        assert torch.equal(getattr(one, name)[0], getattr(both, name)[1]), name
    assert not torch.equal(one.depth, render([2], SIZE, cameras="handheld").depth)


def test_an_empty_library_leaves_procedural_furniture() -> None:
    kit = Kit(np.random.default_rng(0), Library([]))
    piece = mesh_furniture.make(kit, seating.sofa)
    assert piece.solids and not piece.things


def test_hand_held_cameras_stay_within_what_people_do() -> None:
    views = [sample_scene(seed, cameras="handheld").view for seed in range(12)]
    assert all(35 <= view.fov <= 110 and 0.19 <= view.position[2] <= 2.21 for view in views)
    assert all(abs(view.axes[2, 2]) <= np.sin(np.radians(45)) + 1e-6 for view in views)
    assert np.ptp([view.fov for view in views]) > 20


def test_a_phone_held_upright_has_its_field_of_view_along_the_long_side() -> None:
    upright = View((0, 0, 1), looking(0, 0), 70.0, long_side=True)
    assert upright.across((480, 640)) == 70
    wide = np.tan(np.radians(70) / 2)
    assert np.tan(np.radians(upright.across((640, 480))) / 2) == pytest.approx(wide * 0.75)


def test_datasets_carry_the_credits_and_refuse_other_furniture(
    folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("embreex")
    root = tmp_path / "rooms"
    assert list(write_dataset(root, 1, size=(48, 64), furniture=folder))[-1] == 1
    assert "A. Maker" in (root / "CREDITS.md").read_text()
    assert json.loads((root / "synthetic.json").read_text())["furniture"]
    with pytest.raises(UsageError, match="choose a new folder"):
        list(write_dataset(root, 1, size=(48, 64)))


def test_streets_take_no_furniture(folder: Path) -> None:
    with pytest.raises(UsageError, match="furniture"):
        sample_scene(0, "street", furniture=folder)


def test_coverings_leave_doors_and_windows_open(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "grey.sh3f", texture=picture((90, 90, 90, 255)))
    kit = Kit(np.random.default_rng(0), open_library(tmp_path))
    wall = Wall(4.0, [Opening("door", (-0.5, 0.5), (0, 2)), Opening("window", (1, 1.5), (0.8, 2))])
    (piece,) = coverings.wallpaper(kit, [wall], 2.5)
    sheet = piece.things[0].mesh
    edges = sheet.corners[:, 1:] - sheet.corners[:, :1]
    area = 0.5 * np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1).sum()
    assert area == pytest.approx(4 * 2.5 - 1 * 2 - 0.5 * 1.2)
    low, high = piece.bounds()
    np.testing.assert_allclose(low, [-2, 0.001, 0])
    np.testing.assert_allclose(high, [2, 0.001, 2.5])
    ground = coverings.carpet(kit, (3.0, 5.0))
    np.testing.assert_allclose(ground.bounds(), [[0, 0, 0.001], [3, 5, 0.001]])


def test_a_library_without_textures_covers_nothing(tmp_path: Path) -> None:
    write_catalogue(tmp_path / "red.sh3f")
    kit = Kit(np.random.default_rng(0), open_library(tmp_path))
    assert coverings.carpet(kit, (3.0, 5.0)) is None
