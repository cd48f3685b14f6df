// The documentation site: its pages, in order, and what Markdown means in it beyond GitHub's.
//
// `scripts/docs.mjs` builds it. The pages must also read well on GitHub: headings have GitHub's anchors
// here, and links to files outside docs/ lead to the repository.
import { posix } from 'node:path';

import { defineConfig } from 'vitepress';

const REPOSITORY = 'https://github.com/dodici/dodici';

/** GitHub's anchor of a heading. */
const slugify = (heading: string) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

/** The place in the repository that `link` of the page means; `undefined`: a page, or elsewhere. */
function outside(link: string, page: string): string | undefined {
  if (/^(?:[a-z]+:|[#/])/.test(link)) return undefined;
  const path = posix.join('docs', posix.dirname(page), link);
  const isPage = path.startsWith('docs/') && /\.(?:md|svg)(?:#|$)/.test(path);
  if (isPage) return undefined;
  return `${REPOSITORY}/blob/main/${path}`;
}

export default defineConfig({
  title: 'dodici',
  description: "undici's API on an HTTP engine in Rust",
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: '/icon.svg' }]],
  markdown: {
    anchor: { slugify },
    toc: { slugify },
    config(md) {
      md.core.ruler.push('links to the repository', ({ tokens, env }) => {
        for (const token of tokens.flatMap(({ children }) => children ?? [])) {
          const link = token.type === 'link_open' ? token.attrGet('href') : null;
          const place = link === null ? undefined : outside(link, env.relativePath);
          if (place !== undefined) token.attrSet('href', place);
        }
      });
      // Names in tables break after their parts.
      const { code_inline: code } = md.renderer.rules;
      md.renderer.rules.code_inline = (...line) =>
        code!(...line).replace(/[^>]+(?=<\/code>)/, (name) => name.replace(/::|[_.]/g, '$&<wbr>'));
      md.core.ruler.push('lines that rustdoc hides', ({ tokens }) => {
        for (const token of tokens) {
          if (token.type !== 'fence' || !token.info.startsWith('rust')) continue;
          token.content = token.content.replace(/^#(?: .*)?\n/gm, '');
        }
      });
    },
  },
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    socialLinks: [{ icon: 'github', link: REPOSITORY }],
    nav: [
      { text: 'Start', link: '/start' },
      { text: 'Options', link: '/options' },
      { text: 'Errors', link: '/errors' },
      { text: 'Benchmarks', link: '/benchmarks' },
    ],
    sidebar: [
      {
        text: 'Introduction',
        items: [
          { text: 'Start in five minutes', link: '/start' },
          { text: 'Coming from undici', link: '/from-undici' },
          { text: 'Coming from reqwest', link: '/migrating-from-reqwest' },
          { text: 'Examples', link: '/examples' },
          { text: 'Frequently asked questions', link: '/faq' },
        ],
      },
      {
        text: 'Guide',
        items: [
          { text: 'fetch', link: '/fetch' },
          { text: 'Options per origin', link: '/per-origin' },
          { text: 'Addresses and names', link: '/addresses' },
          { text: 'Events, timings, metrics', link: '/events' },
          { text: 'HTTP/2', link: '/http2' },
          { text: 'HTTP/3', link: '/http3' },
          { text: 'Connections and time', link: '/connections' },
          { text: 'Proxies', link: '/proxies' },
          { text: 'TLS and trust', link: '/tls' },
          { text: 'Performance', link: '/performance' },
          { text: 'Frameworks and tools', link: '/working-with' },
          { text: 'Bun, Deno, Electron', link: '/runtimes' },
          { text: 'Rust', link: '/rust' },
        ],
      },
      {
        text: 'Reference',
        items: [
          { text: 'All options', link: '/options' },
          { text: 'Errors', link: '/errors' },
          { text: 'Limits on peer input', link: '/limits' },
          { text: 'Settings of the process', link: '/node-settings' },
          { text: 'Node API', link: '/node-api/' },
          { text: 'Benchmarks', link: '/benchmarks' },
        ],
      },
      {
        text: 'Inside',
        items: [
          { text: 'Newer versions of undici', link: '/undici' },
          { text: 'Requirements', link: '/requirements' },
          { text: 'Decisions', link: '/decisions/README' },
        ],
      },
    ],
  },
});
