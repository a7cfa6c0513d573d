"""Recipes: every key is checked, the nearest name is given, overrides win."""

from __future__ import annotations

from pathlib import Path

import pytest

from glpn.errors import ConfigError, MissingInput
from glpn.training.recipe import Recipe, read_recipe

RECIPES = Path(__file__).parents[2] / "recipes"


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def test_keys_of_every_section_arrive(tmp_path):
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
    assert recipe.data.spec().unit == "mm"
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
def test_an_unknown_key_is_refused_naming_the_nearest(tmp_path, text, key, nearest):
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
        ("loop.batch", "section.key=value"),
        ("batch=4", "section.key=value"),
        ("loop=4", "section.key=value"),
        ("run.folder.deeper=4", "run.folder"),
    ],
)
def test_an_impossible_value_is_refused_by_its_key(change, named):
    with pytest.raises(ConfigError, match=named):
        Recipe().override([change])


def test_overrides_are_toml_or_plain_text_and_the_last_wins():
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


def test_the_hash_tells_what_decides_the_result_from_what_does_not():
    recipe = Recipe()
    assert recipe.hash() == Recipe().hash()
    assert recipe.override(["run.folder=elsewhere", "run.workers=3"]).hash() == recipe.hash()
    assert recipe.override(["loop.seed=1"]).hash() != recipe.hash()
    assert recipe.override(["model.config.fusion=sum"]).hash() != recipe.hash()


def test_a_recipe_survives_the_way_to_a_dictionary_and_back():
    recipe = Recipe().override(["augment.crop=none", "data.folder.unit=mm", "model.start=there"])
    assert Recipe.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_the_project_are_valid(path):
    read_recipe(path)
    header = path.read_text().split("\n\n")[0]
    for word in ("glpn train", "Hardware", "Hours", "Expected"):
        assert word in header


def test_the_published_settings_are_those_of_the_recipes_for_nyu_and_kitti():
    nyu, kitti = read_recipe(RECIPES / "nyu.toml"), read_recipe(RECIPES / "kitti.toml")
    for recipe, crop, reach in ((nyu, (448, 576), 10), (kitti, (352, 704), 80)):
        assert recipe.model.network().variant == "b4"
        assert recipe.model.network().max_depth == reach
        assert recipe.model.network().drop_path_rate == 0.1
        assert (recipe.loop.epochs, recipe.loop.batch) == (25, 12)
        assert (recipe.optimiser.kind, recipe.optimiser.weight_decay) == ("adam", 0)
        schedule = recipe.schedule
        assert (schedule.kind, schedule.power) == ("published", 0.9)
        assert (schedule.start_rate, schedule.rate, schedule.end_rate) == (3e-5, 1e-4, 3e-5)
        augment = recipe.augment
        assert augment.crop == crop
        assert (augment.cutdepth, augment.cutdepth_probability) == ("vertical", 0.25)
        assert augment.cutdepth_p == 0.75


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(MissingInput, match=r"absent\.toml"):
        read_recipe(tmp_path / "absent.toml")
    with pytest.raises(ConfigError, match=r"recipe\.toml"):
        read_recipe(write(tmp_path, "loop = ["))
