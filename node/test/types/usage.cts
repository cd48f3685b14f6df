// What users may write, in CommonJS. Compiled, not run.
import dodici = require('dodici');
import { Agent, request } from 'dodici';

const agent = new dodici.Agent({ origins: { '*.example.com': { connections: 1 } } });
const same: Agent = agent;
void request('http://localhost', { dispatcher: same });
void dodici.request('http://localhost');
