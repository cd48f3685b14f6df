// What users may write, in CommonJS. Compiled, not run.
import dodici = require('dodici');
import { Agent, request } from 'dodici';

const agent = new dodici.Agent({ origins: { '*.example.com': { connections: 1 } } });
const same: Agent = agent;
void request('http://localhost', { dispatcher: same });
void dodici.request('http://localhost');
const clientOptions: dodici.Client.Options = { connect: { platformVerifier: true } };
const poolOptions: dodici.Pool.Options = { connections: 2, connect: { ca: 'x' } };
void [
  new dodici.Client('http://localhost', clientOptions),
  new dodici.Pool('http://localhost', poolOptions),
];
