/**
 * Classes of the peer's that ours extend.
 *
 * What lives here: what all of them add, handlers of both generations and sanitized options of
 * requests. It must not know what these classes do.
 */

import { inspect, type InspectOptions } from 'node:util';

import { unpolluted } from '../options';
import { composedForBoth, type Dispatcher, forPeerClass, takesBoth } from '../undici';
import { inspected } from './dispatcher-base';

type Interceptor = Dispatcher.DispatcherComposeInterceptor;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- TypeScript's rule for mixins
type DispatcherClass = new (...given: any[]) => Dispatcher;

/** `PeerClass` for handlers of both generations, and unaffected by a polluted `Object.prototype`. */
export function forBoth<Class extends DispatcherClass>(PeerClass: Class): Class {
  class ForBoth extends PeerClass {
    override dispatch(
      options: Dispatcher.DispatchOptions,
      handler: Dispatcher.DispatchHandler,
    ): boolean {
      return super.dispatch(unpolluted(options), forPeerClass(handler));
    }

    [inspect.custom](_depth: number, options: InspectOptions): string {
      return inspected(this, options);
    }

    override compose(
      ...interceptors: Interceptor[] | [Interceptor[]]
    ): Dispatcher.ComposedDispatcher {
      return composedForBoth(super.compose(...(interceptors as Interceptor[])));
    }
  }
  takesBoth(ForBoth.prototype.dispatch);
  return ForBoth;
}
