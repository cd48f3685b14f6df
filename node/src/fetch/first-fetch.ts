/**
 * What a fetch needs and nothing else does.
 *
 * What lives here: names. The build makes a file of its own of these modules, which the first fetch loads:
 * it is a sixth of the package, and programs that use `request()` need none of it.
 */

export { rethrowWithCallers } from './caller';
export { Fetching } from './fetching';
export { readRequest } from './request-init';
export { ResponseFactory } from './response';
export { rejected } from './response-body';
