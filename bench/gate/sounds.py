"""The sounds that are no speech: music, noises and events, by kind and package.

Kinds: `music`; the noises `fan`, `street`, `crowd`, `kitchen`, `car`, `station`; the
events `bump` (knocks, doors, steps), `keyboard`, `cough`, `sneeze`, `bark` (dogs and
other animals), `laugh` and `baby`.
"""

from bench.gate.packages import HEDGEWARS, Sounds

# kind -> package -> patterns of names
_TABLE = {
    "music": {
        "asterisk-moh-opsound-wav": "*.wav",
        "hedgewars-data": "*Data/Music/*.ogg",
        "fillets-ng-data": "*/music/*.ogg",
        "lincity-ng-data": "*music/*.ogg",
        "wesnoth-1.16-music": "*music/*.ogg",
        "supertux-data": "*music/*/*.ogg",
        "widelands-data": "*data/music/*.ogg",
        "freedroidrpg-data": "*sound/music/*.ogg",
        "sonic-pi-samples": "*samples/loop_*.flac *samples/guit_*.flac "
        "*samples/ambi_*.flac",
        "unknown-horizons": "*audio/music/*.ogg *sounds/chapel.ogg",
        "scratch": "*Loops/*.mp3 *Instruments/*",
        "tuxtype-data": "*sounds/*.ogg",
    },
    "fan": {
        "lincity-ng-data": "*CoalMine?.wav *IndustryHigh?.wav *IndustryLight?.wav "
        "*/Mill?.wav *OreMine?.wav *PowerCoal*.wav *PowerSolar?.wav *Recycle?.wav "
        "*Substation*.wav *WindMill*.wav",
        "tuxpaint-stamps-default": "*/vacuum_cleaner.ogg",
        "megaglest-data": "*/tilesets/*/sounds/wind.ogg",
        "flare-game": "*/*wind_loop.ogg",
        "sonic-pi-samples": "*samples/vinyl_hiss.flac *samples/loop_3d_printer.flac",
        "opencity-data": "*/eplant.wav *eline*.wav",
        "unknown-horizons": "*sounds/windmill.ogg",
    },
    "street": {
        "lincity-ng-data": "*TraficHigh?.wav *TraficLow?.wav *DirtTrack?.wav "
        "*/Water?.wav *ParklandPlane?.wav",
        "opencity-data": "*/road.wav */park.wav */rci.wav",
        "megaglest-data": "*/tilesets/*/sounds/rain.ogg */tilesets/*/sounds/*day.ogg",
        "flare-game": "*/rain.ogg */river_loop.ogg",
        "minetest-data": "*env_sounds_water*.ogg",
    },
    "crowd": {
        "lincity-ng-data": "*Market*.wav *SportsCroud?.wav *School?.wav "
        "*Commune?.wav *Shanty?.wav *University?.wav",
        "widelands-data": "*sound/*lobby_*.ogg *inn_??.ogg *tavern_??.ogg",
        "unknown-horizons": "*/tavern.ogg */main_square.ogg",
        "scratch": "*/PartyNoise.wav",
        "tuxtype-data": "*sounds/cheer.wav",
    },
    "kitchen": {
        "tuxpaint-stamps-default": "*/dishes/bottle.ogg */dishes/glass.ogg "
        "*/kettle.ogg */Washing-machine.ogg */toilet.ogg",
        "scratch": "*/WaterRunning.mp3 */WaterDrop.mp3 */Bubbles.wav */Slurp.mp3 "
        "*/SewingMachine.mp3 */Ripples.wav",
        "minetest-data": "*break_glass*.ogg *furnace_active.ogg *fire_fire*.ogg "
        "*fire_small.ogg *water_footstep*.ogg *item_smoke.ogg",
        "widelands-data": "*bubble_??.ogg *meal_??.ogg *ration_??.ogg *mortar.ogg",
        "hydrogen-drumkits": "*Waterglass*",
        "flare-game": "*inventory_potion.ogg *inventory_metal.ogg *open_fire*.ogg",
        "freedroidrpg-data": "*Glass_Break.ogg",
    },
    "car": {
        "scratch": "*/CarPassing.wav */MotorcyclePassing.wav",
        "opencity-data": "*/wroum.wav",
        "searchandrescue-data": "*engine_inside*.wav *engine_start*.wav "
        "*helicopter_engine_outside*.wav",
        "tuxpaint-stamps-default": "*/firetruck.ogg",
        "flare-game": "*/minecart.ogg",
    },
    "station": {
        "lincity-ng-data": "*RailTrain?.wav *Harbor?.wav",
        "unknown-horizons": "*/warehouse.ogg */ships_bell.ogg",
        "minetest-data": "*carts_cart_moving*.ogg",
        "scratch": "*/BellToll.wav",
    },
    "bump": {
        "minetest-data": "*footstep*.ogg *dug*.ogg *doors_*.ogg *chest_*.ogg "
        "*place_node*.ogg *dig_*.ogg *xpanes_*.ogg",
        "sonic-pi-samples": "*samples/drum_*.flac *samples/elec_*.flac "
        "*samples/perc_*.flac *samples/tabla_*.flac *samples/bd_*.flac",
        "hydrogen-drumkits": "*Gimme*.flac *Gimme*.wav *rumpf_kit*.flac "
        "*rumpf_kit*.wav *circAfrique*.flac *circAfrique*.wav *Audiophob*.flac",
        "widelands-data": "*woodcutting/*.ogg *smiths/*.ogg *hammering/*.ogg "
        "*stonecutting/*.ogg *metal/*.ogg",
        "lincity-ng-data": "*Blacksmith?.wav *Build?.wav *MonumentConstruction?.wav",
        "flare-game": "*/steps/*.ogg */door_open.ogg *inventory_*.ogg */stairs.ogg",
        "scratch": "*/Door*.* */Footsteps-* */FingerSnap.wav */HandClap.wav "
        "*/Rattle.wav */Pop.wav",
        "searchandrescue-data": "*thud_*.wav *door_close.wav *land_*.wav",
        "tuxpaint-stamps-default": "*/tools/hammer.ogg */tools/saw.ogg "
        "*/mallet_metal.ogg",
        "megaglest-data": "*worker_mine*.wav *worker_build*.wav *anvil?.wav "
        "*catapult_walk*.wav *worker_harvest_wood*.wav",
        "unknown-horizons": "*/lumberjack*.ogg */smith.ogg */stonemason.ogg "
        "*/build.ogg",
        "supertux-data": "*sounds/door.wav *sounds/brick.wav",
    },
    "keyboard": {
        "bucklespring-data": "*.wav",
        "scratch": "*/Typing.mp3",
        "bambam": "*/keyclick.wav */click.wav */return.wav */stamp.wav",
    },
    "cough": {"scratch": "*/Cough-*.wav"},
    "sneeze": {"scratch": "*/Sneeze-*.wav"},
    "bark": {
        "scratch": "*/Animal/*",
        "tuxpaint-stamps-default": "*/animals/*.ogg",
        "widelands-data": "*sound/animals/*.ogg *sound/farm/*.ogg *critters/*.ogg",
        "megaglest-data": "*/wolf.wav *cow_*.wav *pig_*.wav *units/sheep/*.wav "
        "*chicken/sounds/*.wav *elephant/sounds/*.wav *bull/sounds/*.wav *hawk.ogg "
        "*owl.ogg *rooster.ogg",
        "wesnoth-1.16-data": "*core/sounds/wolf-* *core/sounds/horse-* "
        "*core/sounds/bat-* *core/sounds/gryphon-* *core/sounds/hiss* "
        "*core/sounds/tusker-*",
        "lincity-ng-data": "*/Farm?.wav */Green?.wav",
        "unknown-horizons": "*/sheepfield.ogg",
        "flare-game": "*/raven_loop.ogg */bird_twitter_loop.ogg */*owl_loop.ogg",
        "sonic-pi-samples": "*misc_crow.flac",
    },
    "laugh": {
        "scratch": "*/Laugh-* */Scream-*",
        "bambam": "*/giggle.wav",
        "wesnoth-1.16-data": "*/dwarf-laugh.wav */witches-laugh.wav "
        "*core/sounds/groan.wav *core/sounds/human-*",
    },
    "baby": {"scratch": "*/BabyCry.mp3"},
}
KINDS = tuple(_TABLE)


def _all() -> list[Sounds]:
    found = [
        Sounds(kind, package, pattern)
        for kind, packages in _TABLE.items()
        for package, patterns in packages.items()
        for pattern in patterns.split()
    ]
    # The actors of a pack of voices belong to the part that has the pack.
    for split, packs in HEDGEWARS.items():
        for pack in packs.split():
            for kind, name in (("cough", "PoisonCough"), ("laugh", "Laugh")):
                pattern = f"*/voices/{pack}/{name}.ogg"
                found.append(Sounds(kind, "hedgewars-data", pattern, split))
    return found


SOUNDS = tuple(_all())
