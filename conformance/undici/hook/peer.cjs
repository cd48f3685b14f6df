// What dodici gets when it requires its peer, `undici`: the checkout's own, unsubstituted classes.
//
// What lives here: the same names as the checkout's index.js exports. While dodici loads, index.js
// is not loaded, because lib/global.js would create a global Agent that cannot be replaced by ours;
// afterwards, what the classes below do not cover comes from index.js.
"use strict";

const { join } = require("node:path");

/** Exports that come straight from a file, so that reading them early loads nothing else. */
const DIRECT = {
  Dispatcher: "lib/dispatcher/dispatcher.js",
  Dispatcher1Wrapper: "lib/dispatcher/dispatcher1-wrapper.js",
  errors: "lib/core/errors.js",
  buildConnector: "lib/core/connect.js",
  DecoratorHandler: "lib/handler/decorator-handler.js",
  RedirectHandler: "lib/handler/redirect-handler.js",
  RetryAgent: "lib/dispatcher/retry-agent.js",
  RetryHandler: "lib/handler/retry-handler.js",
};

/** Where undici keeps its global dispatcher, newest first. */
const GLOBAL_DISPATCHERS = ["undici.globalDispatcher.2", "undici.globalDispatcher.1"];

exports.create = function create(checkout, originals) {
  let loading = true;
  const index = () => {
    if (loading) throw new Error("dodici must not need all of undici while it loads");
    return require(join(checkout, "index.js"));
  };
  const early = {
    getGlobalDispatcher() {
      if (!loading) return index().getGlobalDispatcher();
      const found = GLOBAL_DISPATCHERS.find((name) => globalThis[Symbol.for(name)] !== undefined);
      return found && globalThis[Symbol.for(found)];
    },
  };
  let fetch;
  const read = (name) => {
    if (name === "fetch" && fetch !== undefined) return fetch;
    const original = originals.classes.get(name);
    if (original !== undefined) return original;
    if (Object.hasOwn(early, name)) return early[name];
    if (Object.hasOwn(DIRECT, name)) {
      try {
        return require(join(checkout, DIRECT[name]));
      } catch (error) {
        // undici 7 has no such file.
        if (error.code === "MODULE_NOT_FOUND") return undefined;
        throw error;
      }
    }
    return index()[name];
  };
  const exported = new Proxy(
    {},
    {
      get: (_target, name) => (typeof name === "string" ? read(name) : undefined),
      has: (_target, name) => typeof name === "string" && read(name) !== undefined,
      ownKeys: () => Reflect.ownKeys(index()),
      getOwnPropertyDescriptor: (_target, name) => ({
        value: typeof name === "string" ? read(name) : undefined,
        enumerable: true,
        configurable: true,
        writable: true,
      }),
    },
  );
  return {
    exports: exported,
    /** From now on index.js may be loaded: it finds our classes. */
    finishLoading() {
      loading = false;
    },
    /** Fixes `fetch`, whatever index.js exports from now on. */
    keepFetch(original) {
      fetch = original;
    },
  };
};
