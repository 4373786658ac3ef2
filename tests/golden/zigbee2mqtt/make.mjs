// Writes exposes.json from the published device definitions: see README.md. `node make.mjs FOLDER`, in which the
// package zigbee-herdsman-converters was installed. Run by hand; no test needs node.
import fs from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";

const NAME = "zigbee-herdsman-converters";
const READ = 1, SET = 2; // bits of `access`
const MODELS_NAMED = 3;
const SAFETY =
    /smoke|gas|carbon_monoxide|^co_|water_leak|^contact|tamper|fault|trouble|sos|panic|test|end_?of_?life|checking_result|contamination|mains_power|^ac_conn|battery_(low|state|defect|level|status)$|lock_state|opening_state|^(alarm|vibration|occupancy|presence)(_alarm|_state|_status)?(_[12])?$/;
const HELP = /sos|panic|emergency|fall|alarm|help|lock|tamper/; // of the values of `action`

const folder = path.resolve(process.argv[2], "node_modules", NAME);
const require = createRequire(path.join(folder, "package.json"));
const {prepareDefinition} = require(path.join(folder, "dist/index.js"));

function* leaves(exposes) {
    for (const expose of exposes) {
        if (!expose.features) yield expose;
        else yield* leaves(expose.features);
    }
}

function* models() {
    const devices = path.join(folder, "dist/devices");
    for (const file of fs.readdirSync(devices).filter((name) => name.endsWith(".js")).sort()) {
        for (const found of require(path.join(devices, file)).definitions ?? []) {
            const model = prepareDefinition(found);
            const exposes = model.exposes;
            yield [model.model, [...leaves(typeof exposes === "function" ? exposes({isDummyDevice: true}, {}) : exposes)]];
        }
    }
}

function note(table, key, facts, model) {
    const row = table.get(key) ?? {...facts, models: 0, such_as: []};
    row.models += 1;
    if (row.such_as.length < MODELS_NAMED && !row.such_as.includes(model)) row.such_as.push(model);
    table.set(key, row);
}

const sorted = (table) => [...table].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
const properties = new Map(), actions = new Map();
let count = 0;
for (const [model, exposes] of models()) {
    count += 1;
    for (const {property, type, access, value_on: on, value_off: off, values, unit} of exposes) {
        if (property === "action") for (const value of values ?? []) if (HELP.test(value)) note(actions, value, {value}, model);
        if (!property || !SAFETY.test(property) || !(access & READ) || access & SET) continue;
        const facts = {property, type, on, off, values: values && [...values].sort(), unit};
        note(properties, JSON.stringify(facts), facts, model);
    }
}
const {version, license} = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
const facts = {package: NAME, version, license, models: count};
const lines = (rows) => "[\n" + rows.map((row) => "    " + JSON.stringify(row)).join(",\n") + "\n  ]";
const head = JSON.stringify(facts, null, 2).slice(0, -2);
fs.writeFileSync(
    new URL("exposes.json", import.meta.url),
    `${head},\n  "properties": ${lines(sorted(properties))},\n  "actions": ${lines(sorted(actions))}\n}\n`,
);
