/**
 * The target of a fetch request.
 *
 * What lives here: a URL, parsed once. It must not know requests.
 */

/** Number of parsed URLs cached. 128: programs that repeat URLs repeat a few. */
const KEPT = 128;
/** Longer ones are not cached: they are rarely repeated. In characters. */
const LONGEST_KEPT = 512;

/** Ports that fetch does not connect to (Fetch standard, "bad port"). */
const BAD_PORTS = new Set(
  (
    '1 7 9 11 13 15 17 19 20 21 22 23 25 37 42 43 53 69 77 79 87 95 101 102 103 104 109 110 111 113 115 ' +
    '117 119 123 135 137 139 143 161 179 389 427 465 512 513 514 515 526 530 531 532 540 548 554 556 563 ' +
    '587 601 636 989 990 993 995 1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 ' +
    '6668 6669 6679 6697 10080'
  ).split(' '),
);

const LOOPBACK_V4 = /^127\.(?:\d{1,3}\.){2}\d{1,3}$/;
const LOCALHOST = /(?:^|\.)localhost\.?$/;

/** A parsed URL. */
export class Target {
  /** Without its fragment. */
  readonly href: string;
  /** With `#`, or empty. */
  readonly hash: string;
  readonly origin: string;
  /** Path and query, as in the request line. */
  readonly path: string;
  readonly isHttp: boolean;
  readonly isHttps: boolean;
  readonly hasCredentials: boolean;
  readonly isBadPort: boolean;
  /** Whether it is potentially trustworthy by the standard: TLS, or this machine. */
  readonly isTrustworthy: boolean;

  constructor(url: URL) {
    const { href, hash, origin, pathname, search, protocol, hostname } = url;
    this.hash = hash;
    this.href = hash === '' && !href.endsWith('#') ? href : href.slice(0, href.indexOf('#'));
    this.origin = origin;
    // An empty query has no `search`, but is a query.
    this.path = search === '' && this.href.endsWith('?') ? `${pathname}?` : pathname + search;
    this.isHttps = protocol === 'https:';
    this.isHttp = this.isHttps || protocol === 'http:';
    this.hasCredentials = url.username !== '' || url.password !== '';
    this.isBadPort = this.isHttp && BAD_PORTS.has(url.port);
    this.isTrustworthy =
      this.isHttps ||
      hostname === '[::1]' ||
      LOOPBACK_V4.test(hostname) ||
      LOCALHOST.test(hostname);
  }
}

const kept = new Map<string, Target>();

/** @throws TypeError of `URL` if it is not an absolute URL. */
export function parseTarget(text: string): Target {
  const known = kept.get(text);
  if (known !== undefined) return known;
  const target = new Target(new URL(text));
  if (text.length <= LONGEST_KEPT) {
    if (kept.size >= KEPT) kept.clear();
    kept.set(text, target);
  }
  return target;
}
