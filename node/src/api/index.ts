/**
 * What users call that is not a class.
 *
 * What lives here: the top-level functions with their global dispatcher, `install()`, the boundary's
 * counters.
 */

export { counters, type Counters } from './counters';
export {
  connect,
  fetch,
  getGlobalDispatcher,
  pipeline,
  request,
  setGlobalDispatcher,
  stream,
  upgrade,
} from './global';
export { install, type Installation } from './install';
