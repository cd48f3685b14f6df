// Draws a report as an SVG: two bar charts side by side, throughput and JS-thread time.
// h1.mjs calls plot(); `node bench/plot.mjs REPORT.json OUT.svg` redraws a kept report.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Colours that are told apart by colour-blind readers and on both of GitHub's backgrounds. */
const COLOURS = { undici: '#8c96a5', dodici: '#1f78d1' };

/** What each panel shows: key of the figure, title, text of a bar. */
const PANELS = [
  { key: 'throughput', title: 'Requests per second (more is better)', format: ',.0f' },
  { key: 'jsCpu', title: 'µs of JS thread per request (less is better)', format: ',.1f' },
];

/**
 * @param {{ node: string, machine: string, rounds: number, rows: any[] }} report
 * @returns {Promise<string>} the SVG
 */
export async function plot(report) {
  // Loaded late: a bench that only prints its help needs no plot library.
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const values = report.rows.flatMap((row) =>
    Object.entries(row.clients).map(([client, { median }]) => ({
      load: wrap(row.title),
      client,
      ...Object.fromEntries(PANELS.map(({ key }) => [key, median[key]])),
    })),
  );
  const { spec } = compile({
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 16,
    title: {
      text: 'undici and dodici, alternating in one run',
      subtitle: `Node ${report.node}, ${report.machine}; median of ${report.rounds} rounds`,
      anchor: 'start',
      subtitleColor: '#57606a',
    },
    data: { values },
    hconcat: PANELS.map(({ key, title, format }, index) => ({
      title: { text: title, fontSize: 12, fontWeight: 'normal' },
      width: 330,
      height: { step: 26 },
      encoding: {
        y: {
          field: 'load',
          type: 'nominal',
          sort: null,
          title: null,
          axis: {
            labels: index === 0,
            ticks: false,
            domain: false,
            labelLimit: 320,
            labelPadding: 8,
          },
        },
        yOffset: { field: 'client', sort: ['undici', 'dodici'] },
        x: { field: key, type: 'quantitative', title: null, axis: { grid: false, tickCount: 4 } },
      },
      layer: [
        {
          mark: { type: 'bar', cornerRadiusEnd: 2 },
          encoding: {
            color: {
              field: 'client',
              title: null,
              scale: { domain: Object.keys(COLOURS), range: Object.values(COLOURS) },
              legend: { orient: 'bottom' },
            },
          },
        },
        {
          mark: { type: 'text', align: 'left', dx: 4, fontSize: 11 },
          encoding: { text: { field: key, type: 'quantitative', format } },
        },
      ],
    })),
    config: { view: { stroke: null }, font: 'system-ui, sans-serif' },
  });
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  return `${await view.toSVG()}\n`;
}

/** Two lines for a long label; Vega takes a list of lines. @param {string} text */
function wrap(text) {
  const comma = text.lastIndexOf(', ');
  return comma < 0 ? text : [text.slice(0, comma), text.slice(comma + 2)];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [report, out] = process.argv.slice(2);
  if (report === undefined || out === undefined) {
    console.error('Usage: node bench/plot.mjs REPORT.json OUT.svg');
    process.exit(2);
  }
  writeFileSync(out, await plot(JSON.parse(readFileSync(report, 'utf8'))));
}
