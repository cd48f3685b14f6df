// Renders a page from the responses of twenty fetches, as a server-side renderer does. It knows only the
// global `fetch`: main.mjs says whose that is.

const FRAGMENTS = 20;

/** The page's HTML. A fragment that fails or takes too long leaves a gap, and the page is shown. */
export async function renderPage(api, id, signal) {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(10_000)]);
  const fragments = await Promise.all(
    Array.from({ length: FRAGMENTS }, async (_, part) => {
      try {
        const response = await fetch(`${api}/pages/${id}/${part}`, { signal: deadline });
        if (!response.ok) throw new Error(`status ${response.status}`);
        const { title, items } = await response.json();
        return `<section><h2>${title}</h2><ul>${items.map((item) => `<li>${item}</li>`).join('')}</ul></section>`;
      } catch (error) {
        if (signal.aborted) throw error;
        return '<section class="gap"></section>';
      }
    }),
  );
  return `<!doctype html><title>Page ${id}</title>${fragments.join('')}`;
}
