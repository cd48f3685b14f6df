// The stages of a request, from its timings.

/**
 * Where the time went, in milliseconds: an object of those stages that the request has reached. The legs of
 * connecting are there if the connection was opened for this request; they are part of `queued`.
 */
export function stagesOf({ start, assigned, headSent, bodySent, firstByte, end, ...over }) {
  const { dns, tcp, proxy, tls } = over.isNew ? over.connection.timings : {};
  const stages = {
    queued: between(start, assigned ?? end),
    dns,
    tcp,
    proxy,
    tls,
    send: between(assigned, bodySent ?? headSent),
    wait: between(bodySent ?? headSent, firstByte),
    receive: between(firstByte, end),
  };
  return Object.fromEntries(Object.entries(stages).filter(([, time]) => time !== undefined));
}

/** A server may respond before it has the whole body. */
function between(from, to) {
  return from === null || to === null ? undefined : Math.max(0, to - from);
}
