/**
 * The package's functions.
 *
 * What lives here: the top-level functions, `install()`, the boundary's counters.
 */

export { counters, type Counters } from './counters';
export { connect, fetch, pipeline, request, stream, upgrade } from './functions';
export { install, type Installation, type InstallOptions } from './install';
