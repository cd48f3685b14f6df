// The bills of materials in the packages, against the schema of CycloneDX.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { fromPyPI, run } from './run.mjs';

const VALIDATOR = ['cyclonedx-python-lib[json-validation]==11.12.0'];
const PROGRAM = `
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_6)
for path in sys.argv[1:]:
    with open(path) as file:
        if error := validator.validate_str(file.read()):
            sys.exit(f"{path}: {error}")
print(len(sys.argv) - 1, "bills of materials are valid CycloneDX 1.6")
`;

/** Checks those of the packages in a folder of `just pack`. */
export async function checkBills(packages) {
  const bin = await fromPyPI('cyclonedx', VALIDATOR);
  const bills = readdirSync(packages, { recursive: true })
    .filter((file) => file.endsWith('sbom.cdx.json'))
    .map((file) => join(packages, file));
  if (bills.length === 0) throw new Error(`${packages} has none`);
  return run(join(bin, 'python'), ['-c', PROGRAM, ...bills]);
}
