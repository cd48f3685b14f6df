/**
 * The addon: its file, its types, how it is loaded.
 *
 * What lives here: everything that knows where the addon's file is. It must not know what records say.
 */

export type { NativeAddon, NativeEnvironment } from './addon';
export { loadAddon } from './loader';
