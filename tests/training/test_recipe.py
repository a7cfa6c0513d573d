"""Recipes: every key is checked, the nearest name is given, overrides win."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import glpn
from glpn.errors import ConfigError, MissingInput
from glpn.training.recipe import Recipe, read_recipe

RECIPES = Path(glpn.__file__).parent / "training/recipes"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_keys_of_every_section_arrive(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(
            tmp_path,
            """
            model = { preset = "b1", config = { fusion = "sum", decoder_hidden_size = 32 } }
            data = { train = "frames", folder = { unit = "mm" } }
            augment = { cutdepth = "square", cutdepth_p = 0.5, crop = [64, 96] }
            optimiser = { kind = "adamw", freeze = ["glpn"] }
            schedule = { rate = 1 }
            loop = { batch = 4, seed = 7 }
            run = { folder = "out" }
            """,
        )
    )
    assert recipe.model.network().fusion == "sum"
    assert recipe.model.network().decoder_hidden_size == 32
    assert recipe.model.network().variant == "b1"
    spec = recipe.data.spec()
    assert spec is not None
    assert spec.unit == "mm"
    assert (recipe.augment.cutdepth, recipe.augment.cutdepth_p) == ("square", 0.5)
    assert recipe.augment.crop == (64, 96)
    assert recipe.optimiser.freeze == ("glpn",)
    assert recipe.schedule.rate == 1.0
    assert (recipe.loop.batch, recipe.loop.seed, recipe.run.folder) == (4, 7, "out")


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        ("[loop]\nbacth = 4", "loop.bacth", "loop.batch"),
        ("[lop]\nbatch = 4", "lop", "loop"),
        ("[augment]\ncut_depth = 'none'", "augment.cut_depth", "augment.cutdepth"),
        ("[model.config]\nfusoin = 'sum'", "model.config.fusoin", "model.config.fusion"),
        ("[data.folder]\nuint = 'mm'", "data.folder.uint", "data.folder.unit"),
    ],
)
def test_an_unknown_key_is_refused_naming_the_nearest(
    tmp_path: Path, text: str, key: str, nearest: str
) -> None:
    with pytest.raises(ConfigError, match=rf"recipe.toml.*{key}.*did you mean '{nearest}'"):
        read_recipe(write(tmp_path, text))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("loop.batch=zero", "loop.batch"),
        ("loop.batch=0", "loop.batch"),
        ("loop.batch=true", "loop.batch"),
        ("loop.accumulate=5", "loop.accumulate"),
        ("loop.precision=fp8", "loop.precision"),
        ("loop.metric=accuracy", "loop.metric"),
        ("loop.protocol=nyuu", "loop.protocol"),
        ("schedule.kind=linear", "schedule.kind"),
        ("schedule.rate=nan", "schedule.rate"),
        ("augment.crop=[1]", "augment.crop"),
        ("augment.cutdepth=diagonal", "augment"),
        ("augment.max_depth=80", "model.config.max_depth"),
        ("model.config.depths=[1, 2]", "model.config"),
        ("model.preset=b9", "model.preset"),
        ("data.folder.unit=ft", "data.folder"),
        ("data.val_share=1", "data.val_share"),
        ("optimiser.layer_decay=2", "optimiser.layer_decay"),
        ("loop.beyond_max_depth=keep", "loop.beyond_max_depth"),
        ("loop.batch", "section.key=value"),
        ("batch=4", "section.key=value"),
        ("loop=4", "section.key=value"),
        ("run.folder.deeper=4", "run.folder"),
    ],
)
def test_an_impossible_value_is_refused_by_its_key(change: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Recipe().override([change])


def test_overrides_are_toml_or_plain_text_and_the_last_wins() -> None:
    recipe = Recipe().override(
        [
            "data.train=/a folder/with spaces",
            "augment.crop=none",
            "augment.cutdepth=none",
            "loop.batch=2",
            "loop.batch=6",
            "schedule.rate=1e-3",
            "model.config.max_depth=80",
        ]
    )
    assert recipe.data.train == "/a folder/with spaces"
    assert recipe.augment.crop is None
    assert recipe.augment.cutdepth == "none"
    assert recipe.loop.batch == 6
    assert recipe.schedule.rate == 1e-3
    assert recipe.model.network().max_depth == 80


def test_the_hash_tells_what_decides_the_result_from_what_does_not() -> None:
    recipe = Recipe()
    assert recipe.hash() == Recipe().hash()
    assert recipe.override(["run.folder=elsewhere", "run.workers=3"]).hash() == recipe.hash()
    assert recipe.override(["loop.seed=1"]).hash() != recipe.hash()
    assert recipe.override(["model.config.fusion=sum"]).hash() != recipe.hash()


def test_a_recipe_survives_the_way_to_a_dictionary_and_back() -> None:
    recipe = Recipe().override(["augment.crop=none", "data.folder.unit=mm", "model.start=there"])
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_the_project_are_valid(path: Any) -> None:
    read_recipe(path)
    header = path.read_text().split("\n\n")[0]
    for word in ("glpn train", "Hardware", "Hours", "Expected"):
        assert word in header


@pytest.mark.parametrize(
    ("name", "crop", "max_depth", "peak", "end_rate", "raw_scale"),
    [
        # 12 of 25 epochs; 1e-4 - 7e-5 (26247 / 24228)^0.9
        ("nyu", (448, 576), 10, 0.48, 2.477e-5, 1000),
        # 24228 of 48246 steps; 1e-4 - 7e-5 (24018 / 24228)^0.9
        ("kitti", (352, 704), 80, 0.50218, 3.0546e-5, 256),
    ],
)
def test_the_recipes_for_nyu_and_kitti_are_as_published(
    name: str, crop: tuple[int, int], max_depth: int, peak: float, end_rate: float, raw_scale: int
) -> None:
    recipe = read_recipe(name)
    network = recipe.model.network()
    assert (network.variant, network.max_depth, network.drop_path_rate) == ("b4", max_depth, 0.1)
    assert (recipe.loop.epochs, recipe.loop.batch) == (25, 12)
    assert recipe.loop.beyond_max_depth == "learn"
    assert (recipe.optimiser.kind, recipe.optimiser.weight_decay) == ("adam", 0)
    schedule, augment = recipe.schedule, recipe.augment
    assert (schedule.kind, schedule.power) == ("published", 0.9)
    assert (schedule.start_rate, schedule.rate, schedule.peak) == (3e-5, 1e-4, peak)
    assert schedule.end_rate == pytest.approx(end_rate, rel=1e-3)
    assert augment.crop == crop
    assert (augment.cutdepth, augment.cutdepth_probability) == ("vertical", 0.25)
    assert (augment.cutdepth_p, augment.cutdepth_values) == (0.75, "modulo")
    assert augment.raw_scale == raw_scale


def test_a_recipe_is_found_by_its_name_and_an_unknown_one_lists_the_names() -> None:
    assert read_recipe("finetune").model.start == "glpn-b0-indoor"
    with pytest.raises(MissingInput, match=r"finetuen.*one of .*finetune, kitti, nyu, smoke"):
        read_recipe("finetuen")


MIX = {
    "data": {
        "mix": {
            "real": {"folder": "a", "count": 3, "edges": 0.5},
            "photos": {"folder": "b", "count": 1, "labels": False, "loss": "scale-shift"},
        }
    },
    "teacher": {"model": "glpn-b0-indoor"},
    "loop": {"batch": 4},
}


def test_a_mix_of_datasets_arrives_in_records() -> None:
    recipe = Recipe.from_dict(MIX)
    assert recipe.data.mix["real"].edges == 0.5
    assert recipe.data.mix["photos"].labels is False
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    assert recipe.override(["data.mix.real.edges=0.25"]).data.mix["real"].edges == 0.25


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("loop.batch=5", "loop.batch: 5 differs from .* 4"),
        ("teacher.model=none", "without labels needs teacher.model"),
        ("data.mix.real.cuont=3", "data.mix.real.cuont.*data.mix.real.count"),
        ("data.mix.real.loss=l1", "data.mix.loss"),
        ("data.mix.real.aspect=[2, 1]", "data.mix.aspect"),
        ("data.train=c", "data.mix excludes data.train"),
        ("data.train_list=c", r"excludes data.train_list; set data\.mix\.NAME\.list"),
        ("data.train_split=c", r"excludes data.train_split; set data\.mix\.NAME\.split"),
        ("teacher.max_share=2", "teacher.max_share"),
        ("schedule.peak=1", "schedule.peak"),
    ],
)
def test_an_impossible_mix_or_teacher_is_refused_by_its_key(change: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Recipe.from_dict(MIX).override([change])


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"absent\.toml"):
        read_recipe(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"recipe\.toml"):
        read_recipe(write(tmp_path, "loop = ["))
