"""Whole Builds with buildpacks in bash and a real sandbox: what is restored, kept, shown and refused."""

import asyncio
from pathlib import Path

import pytest

from hostd import mounts
from hostd.errors import BuildFailed, Unavailable
from hostd.model.image import LayerRecord, ProcessType, StaticSite
from hostd.transcript import Transcript
from tests.build import yard as yards
from tests.build.yard import Yard, entries

pytestmark = pytest.mark.root

PASS = "echo found"
FAIL = "exit 100"
WEB = """printf '[[processes]]\\ntype = "web"\\ncommand = ["serve"]\\n' > "$CNB_LAYERS_DIR/launch.toml"\n"""
NOTHING = "true"
ALL_TYPES = "launch = true\\nbuild = true\\ncache = true"
DEPENDENCIES = f"""
layer=$CNB_LAYERS_DIR/deps
if [[ -d $layer && "$(cat "$layer.toml")" == *"$(cat lock)"* ]]; then
    echo "dependencies unchanged"
else
    echo "installing"
    rm -rf "$layer"; mkdir -p "$layer/bin"
    cp lock "$layer/lock"; echo '#!/bin/sh' > "$layer/bin/tool"; chmod 755 "$layer/bin/tool"
fi
mkdir -p "$layer/env"; printf x > "$layer/env/DEPS"
printf '[types]\\n{ALL_TYPES}\\n[metadata]\\nkey = "%s"\\n' "$(cat lock)" > "$layer.toml"
{WEB}"""


def typed(layer: str, types: str) -> str:
    """Bash that declares a layer."""
    return f"""printf '[types]\\n{types}\\n' > "$CNB_LAYERS_DIR/{layer}.toml"\n"""


async def test_an_image_shows_the_source_and_the_launch_layers(yard: Yard) -> None:
    yard.buildpack("python", "echo requirements.txt found", DEPENDENCIES)
    image = await yard.build(yard.push({"lock": "1"}))
    app, dependencies = image.trees
    assert (app.target, app.digest) == ("/app", "git:tree1")
    assert app.directories == (str(yard.root / "sources" / "1"),)
    assert dependencies.target == "/layers/python/deps"
    (directory,) = dependencies.directories
    assert entries(Path(directory)) == ["bin", "env", "lock"]
    assert image.env["PATH"].startswith("/layers/python/deps/bin:/usr/local/sbin:")
    assert image.env["DEPS"] == "x"
    assert image.processes == (ProcessType("web", ("serve",)),)
    assert image.buildpacks == ("python 1.0.0",)
    assert yard.lines[:3] == [
        "-----> Detecting",
        "       python 1.0.0: requirements.txt found",
        yard.lines[2],
    ]
    assert "-----> Building with python 1.0.0" in yard.lines
    assert "       installing" in yard.lines
    assert any("layer python/deps new: 5 files" in line for line in yard.lines)


async def test_unchanged_dependencies_are_neither_installed_nor_kept_again(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    first = await yard.build(yard.push({"lock": "1", "app.py": "1"}))
    second = await yard.build(yard.push({"lock": "1", "app.py": "2"}), first)
    assert "       dependencies unchanged" in yard.lines
    assert "       layer python/deps unchanged" in yard.lines
    assert second.trees[1] == first.trees[1]
    assert second.layers == first.layers
    assert second.digest != first.digest
    assert len(list((yard.home / "layers").iterdir())) == 1


async def test_a_changed_layer_is_another_and_the_earlier_stays_as_it_was(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    first = await yard.build(yard.push({"lock": "1"}))
    second = await yard.build(yard.push({"lock": "2"}), first)
    before, after = Path(first.trees[1].directories[0]), Path(second.trees[1].directories[0])
    assert (before / "lock").read_text() == "1"
    assert (after / "lock").read_text() == "2"
    third = await yard.build(yard.push({"lock": "1"}), second)
    assert third.trees[1] == first.trees[1]


async def test_a_layer_changed_in_part_shares_the_rest_with_the_earlier(yard: Yard) -> None:
    build = f"""
    layer=$CNB_LAYERS_DIR/deps; mkdir -p "$layer/a/b"
    [[ -f $layer/a/b/big ]] || echo big > "$layer/a/b/big"
    rm -f "$layer/a/$(($(cat n) - 1))"; echo "$(cat n)" > "$layer/a/$(cat n)"
    {typed("deps", ALL_TYPES)} {WEB}"""
    yard.buildpack("python", PASS, build)
    first = await yard.build(yard.push({"n": "1"}))
    second = await yard.build(yard.push({"n": "2"}), first)
    before, after = Path(first.trees[1].directories[0]), Path(second.trees[1].directories[0])
    assert entries(before / "a") == ["1", "b"]
    assert entries(after / "a") == ["2", "b"]
    assert (before / "a" / "b" / "big").stat().st_ino == (after / "a" / "b" / "big").stat().st_ino
    assert any("layer python/deps changed: " in line for line in yard.lines)


async def test_a_launch_only_layer_comes_back_as_metadata_and_is_used_again(yard: Yard) -> None:
    build = f"""
    if [[ -f $CNB_LAYERS_DIR/run.toml ]]; then
        cat "$CNB_LAYERS_DIR/run.toml"; [[ ! -e $CNB_LAYERS_DIR/run ]]; echo reusing
    else
        mkdir -p "$CNB_LAYERS_DIR/run/env.launch"; printf y > "$CNB_LAYERS_DIR/run/env.launch/RUN"
    fi
    printf '[types]\\nlaunch = true\\n[metadata]\\nkey = "k"\\n' > "$CNB_LAYERS_DIR/run.toml"
    {WEB}"""
    yard.buildpack("python", PASS, build)
    first = await yard.build(yard.push({}))
    second = await yard.build(yard.push({}), first)
    assert "       reusing" in yard.lines
    assert '       key = "k"' in yard.lines
    assert not any("launch = true" in line for line in yard.lines)
    assert second.trees[1:] == first.trees[1:]
    assert second.env["RUN"] == "y"


async def test_a_launch_layer_that_never_had_content_is_refused(yard: Yard) -> None:
    yard.buildpack("python", PASS, typed("run", "launch = true"))
    with pytest.raises(BuildFailed, match="layer python/run is to be launched but has no content"):
        await yard.build(yard.push({}))


async def test_cached_layers_come_back_whole_though_they_are_folded_later(yard: Yard) -> None:
    build = f"""
    mkdir -p "$CNB_LAYERS_DIR/cache"; touch "$CNB_LAYERS_DIR/cache/$(cat n)"; ls "$CNB_LAYERS_DIR/cache" | tr '\\n' ' '
    {typed("cache", "cache = true")} {WEB}"""
    yard.buildpack("go", PASS, build)
    image = await yard.build(yard.push({"n": "1"}))
    image = await yard.build(yard.push({"n": "2"}), image)
    image = await yard.build(yard.push({"n": "3"}), image)
    assert "       1 2 3 " in yard.lines
    assert [tree.target for tree in image.trees] == ["/app"]


async def test_a_cache_that_got_lost_is_made_again(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    first = await yard.build(yard.push({"lock": "1"}))
    await yard.lifecycle.collect(yard.app, [])
    await yard.build(yard.push({"lock": "1"}), first)
    assert "       installing" in yard.lines


async def test_a_store_comes_back(yard: Yard) -> None:
    build = f"""
    [[ ! -f $CNB_LAYERS_DIR/store.toml ]] || cat "$CNB_LAYERS_DIR/store.toml"
    printf '[metadata]\\nruns = 1\\n' > "$CNB_LAYERS_DIR/store.toml"
    {WEB}"""
    yard.buildpack("python", PASS, build)
    image = await yard.build(yard.push({}))
    await yard.build(yard.push({}), image)
    assert "       runs = 1" in yard.lines


async def test_later_buildpacks_see_build_layers_and_the_plan(yard: Yard) -> None:
    provide = f"""
    cat "$CNB_BP_PLAN_PATH"
    mkdir -p "$CNB_LAYERS_DIR/tool/bin" "$CNB_LAYERS_DIR/tool/env.build" "$CNB_LAYERS_DIR/mine/bin"
    printf 1 > "$CNB_LAYERS_DIR/tool/env.build/TOOL"
    {typed("tool", "build = true")} {typed("mine", "launch = true")}"""
    yard.buildpack(
        "tool", """printf '[[provides]]\\nname = "tool"\\n' > "$CNB_BUILD_PLAN_PATH\"""", provide, alone=False
    )
    need = (
        """printf '[[requires]]\\nname = "tool"\\n[requires.metadata]\\nversion = "2"\\n' """
        '> "$CNB_BUILD_PLAN_PATH"'
    )
    yard.buildpack("user", need, f"""echo "TOOL=$TOOL"; echo "PATH=$PATH"\n{WEB}""", alone=False)
    yard.order("tool", "user")
    image = await yard.build(yard.push({}))
    assert '       name = "tool"' in yard.lines
    assert '       version = "2"' in yard.lines
    assert "       TOOL=1" in yard.lines
    assert any(line.startswith("       PATH=/layers/tool/tool/bin:/usr/local/sbin") for line in yard.lines)
    assert image.buildpacks == ("tool 1.0.0", "user 1.0.0")
    assert "TOOL" not in image.env


async def test_an_entry_that_was_not_met_goes_to_the_next_who_provides_it(yard: Yard) -> None:
    provides = """printf '[[provides]]\\nname = "x"\\n' > "$CNB_BUILD_PLAN_PATH\""""
    requires = """printf '[[requires]]\\nname = "x"\\n' > "$CNB_BUILD_PLAN_PATH\""""
    show = 'echo "$CNB_BUILDPACK_DIR $(grep -c entries "$CNB_BP_PLAN_PATH" || true)"'
    yard.buildpack(
        "one",
        provides,
        f"""{show}; printf '[[unmet]]\\nname = "x"\\n' > "$CNB_LAYERS_DIR/build.toml\"""",
        alone=False,
    )
    yard.buildpack("two", provides, show, alone=False)
    yard.buildpack("three", f"{requires}", f"{show}\n{WEB}", alone=False)
    yard.order("one", "two", "three")
    await yard.build(yard.push({}))
    shown = [line.split("/")[-1] for line in yard.lines if "/cnb/buildpacks/" in line]
    assert shown == ["one 1", "two 1", "three 0"]


async def test_a_layer_without_types_is_gone_for_later_buildpacks_and_for_the_image(yard: Yard) -> None:
    yard.buildpack(
        "one", PASS, """mkdir "$CNB_LAYERS_DIR/tmp"; touch "$CNB_LAYERS_DIR/tmp.toml\"""", alone=False
    )
    yard.buildpack("two", PASS, f"ls /layers/one | tr '\\n' ' '\n{WEB}", alone=False)
    yard.order("one", "two")
    image = await yard.build(yard.push({}))
    assert "       tmp.ignore tmp.toml " in yard.lines
    assert image.layers == ()


async def test_a_failed_build_leaves_nothing_and_earlier_layers_alone(yard: Yard) -> None:
    yard.buildpack(
        "python", PASS, f'{DEPENDENCIES}\n[[ ! -f broken ]] || {{ rm -rf "$layer"; echo no >&2; exit 3; }}'
    )
    image = await yard.build(yard.push({"lock": "1"}))
    with pytest.raises(BuildFailed) as refusal:
        await yard.build(yard.push({"lock": "2", "broken": ""}), image)
    assert refusal.value.message == "python: it failed with status 3"
    assert "       no" in yard.lines
    assert (Path(image.trees[1].directories[0]) / "lock").read_text() == "1"
    assert len(list((yard.home / "layers").iterdir())) == 1


async def test_what_a_build_changes_in_app_lies_on_top_of_the_source(yard: Yard) -> None:
    yard.buildpack("python", PASS, f"mkdir out; echo built > out/page; rm secret; chmod 4755 run; {WEB}")
    source = yard.push({"secret": "x", "run": "#!/bin/sh\n"})
    image = await yard.build(source)
    upper, lower = (Path(directory) for directory in image.trees[0].directories)
    assert upper.parent == yard.home / "trees"
    assert (upper / "out" / "page").read_text() == "built\n"
    assert (upper / "run").stat().st_mode & 0o7777 == 0o755
    assert (lower / "secret").read_text() == "x"
    assert any("made in /app: 4 files" in line for line in yard.lines)
    again = await yard.build(source, image)
    assert again.trees == image.trees


async def test_a_fifo_in_the_result_is_refused_by_name(yard: Yard) -> None:
    yard.buildpack("python", PASS, f"mkdir dev; mkfifo dev/x; {WEB}")
    with pytest.raises(BuildFailed, match="unsupported entry type: dev/x in the app"):
        await yard.build(yard.push({}))


async def test_a_layer_that_is_a_link_out_is_refused(yard: Yard) -> None:
    yard.buildpack("python", PASS, f"""ln -s /etc "$CNB_LAYERS_DIR/x"; {typed("x", "launch = true")}""")
    with pytest.raises(BuildFailed, match="layer python/x is not a directory"):
        await yard.build(yard.push({}))


async def test_a_result_file_that_is_a_link_out_is_refused(yard: Yard) -> None:
    yard.buildpack("python", PASS, 'ln -s /etc/passwd "$CNB_LAYERS_DIR/launch.toml"')
    with pytest.raises(BuildFailed, match=r"python/launch\.toml is a symlink; refused"):
        await yard.build(yard.push({}))


async def test_programs_in_exec_d_are_refused_by_name(yard: Yard) -> None:
    yard.buildpack(
        "python",
        PASS,
        f"""mkdir -p "$CNB_LAYERS_DIR/x/exec.d"; touch "$CNB_LAYERS_DIR/x/exec.d/a"; {typed("x", "launch = true")}""",
    )
    with pytest.raises(BuildFailed, match=r"layer python/x has programs in exec\.d"):
        await yard.build(yard.push({}))


async def test_a_procfile_alone_is_enough(yard: Yard) -> None:
    yard.buildpack("python", FAIL, NOTHING)
    image = await yard.build(yard.push({"Procfile": "web: ./serve\n"}))
    assert image.processes == (ProcessType("web", ("bash", "-c", "./serve")),)
    assert image.buildpacks == ()
    assert [tree.target for tree in image.trees] == ["/app"]


async def test_a_procfile_that_is_a_link_out_is_refused(yard: Yard) -> None:
    yard.buildpack("python", PASS, WEB)
    with pytest.raises(BuildFailed, match="Procfile is a symlink; refused"):
        await yard.build(yard.push({"Procfile": Path("/etc/shadow")}))


async def test_an_app_that_nobody_recognises_is_refused(yard: Yard) -> None:
    yard.buildpack("node", FAIL, NOTHING)
    yard.buildpack("python", FAIL, NOTHING)
    with pytest.raises(BuildFailed, match=r"no buildpack recognises this app \(looked for node, python\)"):
        await yard.build(yard.push({}))


async def test_the_choice_among_several_is_explained(yard: Yard) -> None:
    yard.buildpack("node", "echo package.json found", WEB)
    yard.buildpack("python", "echo app.py found", WEB)
    await yard.build(yard.push({}))
    assert yard.lines[1:4] == [
        "       node 1.0.0: package.json found",
        "       also possible: python: app.py found",
        "       node comes first in the order; to choose, name buildpacks in project.toml",
    ]


async def test_project_toml_chooses(yard: Yard) -> None:
    yard.buildpack("node", PASS, WEB)
    yard.buildpack("python", PASS, WEB)
    project = '[[io.buildpacks.group]]\nid = "python"\n[[io.buildpacks.build.env]]\nname = "A"\nvalue = "1"\n'
    assert (await yard.build(yard.push({"project.toml": project}))).buildpacks == ("python 1.0.0",)


async def test_a_buildpack_inside_the_app_is_used(yard: Yard) -> None:
    yard.buildpack("node", PASS, WEB)
    project = '[[io.buildpacks.group]]\nid = "node"\n[[io.buildpacks.group]]\nuri = "./own/pack"\n'
    source = yard.push({"project.toml": project})
    pack = source.directories[0] / "own" / "pack"
    yards.write_buildpack(pack, "acme/own", PASS, f'echo "in $CNB_LAYERS_DIR"\n{WEB}')
    yards.give(source.directories[0], 200_007)
    image = await yard.build(source)
    assert image.buildpacks == ("node 1.0.0", "acme/own 1.0.0")
    assert "       in /layers/acme_own" in yard.lines


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.org/x.git",
        "file:///etc",
        "ssh://git@example.org/x",
        "git@example.org:x.git",
        "docker://image",
        "urn:cnb:registry:x",
        "https://example.org/pack.tgz",
        "https://example.org/a b",
        "ext::sh -c id",
    ],
)
async def test_a_buildpack_from_elsewhere_is_refused(yard: Yard, uri: str) -> None:
    yard.buildpack("node", PASS, WEB)
    with pytest.raises(BuildFailed, match=r"buildpack uri .* is refused"):
        await yard.build(yard.push({"project.toml": f'[[io.buildpacks.group]]\nuri = "{uri}"\n'}))


@pytest.mark.parametrize("uri", ["../x", "/etc", "a/../../etc"])
def test_a_buildpack_outside_the_app_is_refused(yard: Yard, uri: str) -> None:
    yard.buildpack("node", PASS, WEB)
    with pytest.raises(BuildFailed, match="is not a path inside the app"):
        asyncio.run(yard.build(yard.push({"project.toml": f'[[io.buildpacks.group]]\nuri = "{uri}"\n'})))


async def test_a_repository_that_cannot_be_fetched_is_told(yard: Yard) -> None:
    yard.buildpack("node", PASS, WEB)
    project = '[[io.buildpacks.group]]\nuri = "https://buildpacks.invalid/x.git"\nversion = "v1"\n'
    with pytest.raises(
        BuildFailed, match=r"buildpack https://buildpacks\.invalid/x\.git could not be fetched"
    ):
        await yard.build(yard.push({"project.toml": project}))
    assert yard.runner.tasks[-1].command[-7:] == (
        *("--depth", "1", "--branch", "v1", "--"),
        *("https://buildpacks.invalid/x.git", "/cnb/clone"),
    )


async def test_the_build_command_of_hostd_toml_has_the_tools_of_the_buildpacks(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    files = {"lock": "1", "hostd.toml": "[build]\ncommand = 'command -v tool; echo made > made; echo $A'\n"}
    image = await yard.build(yard.push(files), env={"A": "user"})
    assert "       /layers/python/deps/bin/tool" in yard.lines
    assert "       user" in yard.lines
    assert (Path(image.trees[0].directories[0]) / "made").read_text() == "made\n"


async def test_a_build_command_that_fails_is_told(yard: Yard) -> None:
    yard.buildpack("python", FAIL, NOTHING)
    files = {"Procfile": "web: x", "hostd.toml": "[build]\ncommand = 'exit 4'\n"}
    with pytest.raises(BuildFailed, match=r"the build command of hostd\.toml failed with status 4"):
        await yard.build(yard.push(files))


async def test_a_static_site_is_known_by_its_labels(yard: Yard) -> None:
    label = '[[labels]]\\nkey = "hostd.static.root"\\nvalue = "public"\\n'
    yard.buildpack("static", PASS, f"""printf '{label}' > "$CNB_LAYERS_DIR/launch.toml\"""")
    image = await yard.build(yard.push({"public/index.html": "hi"}))
    assert image.static == StaticSite("public")
    assert image.processes == ()
    with pytest.raises(BuildFailed, match="the static root 'public' is not a directory after the build"):
        await yard.build(yard.push({"public": "a file"}))
    with pytest.raises(BuildFailed, match="the static root 'public' is not a directory after the build"):
        await yard.build(yard.push({"public": Path("/etc")}))


async def test_variables_come_as_files_and_in_the_environment_unless_it_is_to_be_clear(yard: Yard) -> None:
    show = 'echo "${SECRET-unset} $(cat /platform/env/SECRET) $CNB_TARGET_OS $CNB_EXEC_ENV"'
    yard.buildpack("one", show, show, alone=False)
    yard.buildpack("two", show, f"{show}\n{WEB}", "clear-env = true", alone=False)
    yard.order("one", "two")
    await yard.build(yard.push({}), env={"SECRET": "a b\n'$(id)"})
    text = "\n".join(yard.lines)
    shown = "a b\n       '$(id)"
    assert text.count(f"       {shown} {shown} linux production") == 1
    assert text.count(f"       unset {shown} linux production") == 1
    assert "two 1.0.0: '$(id) linux production" in text


async def test_toolchains_are_seen_in_the_build_and_shown_by_label(yard: Yard) -> None:
    (yard.root / "toolchains" / "node-24" / "bin").mkdir(parents=True)
    label = '[[labels]]\\nkey = "hostd.toolchains"\\nvalue = "node-24"\\n'
    yard.buildpack(
        "node", PASS, f"""ls /opt/hostd; {WEB} printf '{label}' >> "$CNB_LAYERS_DIR/launch.toml\""""
    )
    image = await yard.build(yard.push({}))
    assert "       node-24" in yard.lines
    assert image.trees[-1].target == "/opt/hostd/node-24"


async def test_a_buildpack_written_by_others_works_unchanged(yard: Yard) -> None:
    """As in the tutorials of Cloud Native Buildpacks at API 0.8: positional arguments, commands as lines."""
    detect = 'set -eo pipefail\nif [[ ! -f Gemfile ]]; then exit 100; fi\nplan=$2\nprintf "" > "$plan"'
    build = """
    layersdir=$1; platform=$2; plan=$3
    echo "---> Ruby Buildpack"
    rubylayer="$layersdir"/ruby
    mkdir -p "$rubylayer/bin"
    cached=$(cat "$layersdir/ruby.toml" 2>/dev/null | grep version || true)
    if [[ "$cached" == *3.1* ]]; then echo "cached"; else echo "downloading"; fi
    echo -e '[types]\\ncache = true\\nlaunch = true\\n[metadata]\\nversion = "3.1"' > "$layersdir/ruby.toml"
    [[ -d $platform/env && -f $plan ]]
    cat > "$layersdir/launch.toml" <<EOL
[[processes]]
type = "web"
command = "bundle exec ruby app.rb"
default = true
EOL"""
    yards.write_buildpack(yard.root / "buildpacks" / "ruby", "examples/ruby", detect, build)
    about = yard.root / "buildpacks" / "ruby" / "buildpack.toml"
    about.write_text(about.read_text().replace("0.12", "0.8") + '[[stacks]]\nid = "*"\n')
    yard.order("examples/ruby")
    image = await yard.build(yard.push({"Gemfile": ""}))
    assert "       downloading" in yard.lines
    assert image.processes == (ProcessType("web", ("sh", "-c", 'bundle exec ruby app.rb "$@"', "web")),)
    await yard.build(yard.push({"Gemfile": ""}), image)
    assert "       cached" in yard.lines


async def test_a_buildpack_cannot_write_to_another_or_to_itself(yard: Yard) -> None:
    yard.buildpack(
        "python", PASS, f'! touch "$CNB_BUILDPACK_DIR/x"; ! rm -rf /layers/python; ! touch /layers/x\n{WEB}'
    )
    await yard.build(yard.push({}))


async def test_a_build_that_is_cancelled_leaves_nothing(yard: Yard) -> None:
    yard.buildpack("python", PASS, "echo started; exec sleep 600")
    transcript = Transcript()
    building = asyncio.create_task(yard.build(yard.push({}), transcript=transcript))
    async with asyncio.timeout(30):
        async for line in transcript.follow():
            if line == "       started":
                break
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    assert list((yard.home / "layers").iterdir()) == []


async def test_two_builds_of_an_app_at_once_do_not_disturb_each_other(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    sources = [yard.push({"lock": "1", "app.py": str(number)}) for number in range(2)]
    images = await asyncio.gather(
        *(yard.lifecycle.build(source, yard.app, {}, None, Transcript()) for source in sources)
    )
    await yard.lifecycle.close()
    assert images[0].trees[1] == images[1].trees[1]
    assert len(list((yard.home / "layers").iterdir())) == 1


async def test_a_full_disk_is_told_in_words(yard: Yard) -> None:
    yard.buildpack("python", PASS, WEB)
    mounts.tmpfs(yard.root / "apps", size_mb=1, mode=0o711)
    with pytest.raises(Unavailable, match="there is no room left on this machine's disk"):
        await yard.lifecycle.build(yard.push({}), yard.app, {"A": "x" * 2_000_000}, None, Transcript())
    await yard.lifecycle.close()
    assert entries(yard.home / "build") == []


async def test_collect_keeps_what_is_used_and_removes_the_rest(yard: Yard) -> None:
    yard.buildpack("python", PASS, f"cp lock built; {DEPENDENCIES}")
    first = await yard.build(yard.push({"lock": "1"}))
    second = await yard.build(yard.push({"lock": "2"}), first)
    left = yard.home / "build" / "left-by-a-crash"
    left.mkdir()
    await yard.lifecycle.collect(yard.app, [second])
    assert entries(yard.home / "build") == []
    assert entries(yard.home / "layers") == [second.layers[0].directory.rpartition("/")[2]]
    assert entries(yard.home / "trees") == [second.trees[0].directories[0].rpartition("/")[2]]
    assert entries(yard.root / "sources") == ["1", "2"]


def test_layer_records_say_what_the_layer_is(yard: Yard) -> None:
    yard.buildpack("python", PASS, DEPENDENCIES)
    image = asyncio.run(yard.build(yard.push({"lock": "1"})))
    (record,) = image.layers
    assert record == LayerRecord(
        "python", "deps", image.trees[1].digest, record.directory, True, True, True, {"key": "1"}
    )
