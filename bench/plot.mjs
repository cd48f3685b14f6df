// Draws a report as SVGs: dodici relative to undici on each load, and all clients on one.
// run.mjs and publish.mjs call plots(); `node bench/plot.mjs REPORT.json PREFIX` redraws a
// kept report.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { amount } from './lib/growth.mjs';

const HELP = `Usage: node bench/plot.mjs REPORT.json PREFIX

  writes PREFIX-ratios.svg, and PREFIX-peers.svg if the report has the load "peers-small"
`;

/** Distinguishable for colour-blind readers and on both of GitHub's backgrounds. */
const OURS = '#1f78d1';
const OTHERS = '#8c96a5';
/** The load that compares all clients in the drawing. */
const PEERS = 'peers-small';

/**
 * @param {object} report
 * @returns {Promise<Record<string, string>>} SVGs by file name; none if there is nothing to draw
 */
export async function plots(report) {
  const drawn = {};
  const ratios = ratioValues(report.rows);
  if (ratios.length > 0) drawn['ratios.svg'] = await svg(ratioChart(report, ratios));
  const peers = report.rows.find(({ id }) => id === PEERS);
  if (peers !== undefined) drawn['peers.svg'] = await svg(peersChart(report, peers));
  return drawn;
}

/** One value for each load that has a throughput and was measured with undici. */
function ratioValues(rows) {
  return rows
    .filter(({ group, ratios }) => group !== 'peers' && ratios.jsCpu !== undefined)
    .map(({ title, ratios }) => ({
      load: wrap(title),
      pace: ratios.megabytesPerSecond ?? ratios.throughput,
      jsCpu: ratios.jsCpu,
      processCpu: ratios.processCpu,
    }));
}

function ratioChart(report, values) {
  const panels = [
    ['pace', 'Throughput (more is better)', '.2f'],
    ['jsCpu', 'JS thread per request (less is better)', '.2f'],
    ['processCpu', 'Whole process per request (less is better)', '.2f'],
  ];
  return {
    ...frame(report, 'dodici relative to undici (1 = undici)'),
    data: { values },
    hconcat: panels.map(([key, title, format], index) => ({
      ...panel(title, 230, 26),
      layer: [
        bar({ x: { field: key, type: 'quantitative', title: null, axis: ticks }, y: loads(index) }),
        text(key, format, loads(index)),
        {
          mark: { type: 'rule', strokeDash: [3, 3], color: '#24292f' },
          encoding: { x: { datum: 1 } },
        },
      ],
    })),
  };
}

function peersChart(report, row) {
  const values = Object.entries(row.clients).map(([client, { median }]) => ({ client, ...median }));
  const order = values.toSorted((a, b) => b.throughput - a.throughput).map(({ client }) => client);
  const panels = [
    ['throughput', 'Requests per second (more is better)', ',.0f'],
    ['jsCpu', 'µs of JS thread per request (less is better)', ',.1f'],
    ['processCpu', 'µs of the whole process (less is better)', ',.1f'],
  ];
  return {
    ...frame(report, row.title.replace(/^[^:]*: /, '')),
    data: { values },
    hconcat: panels.map(([key, title, format], index) => {
      const y = { ...category('client', index), sort: order };
      const color = {
        condition: { test: "indexof(datum.client, 'dodici') === 0", value: OURS },
        value: OTHERS,
      };
      const x = { field: key, type: 'quantitative', title: null, axis: ticks };
      return {
        ...panel(title, 230, 22),
        layer: [bar({ x, y, color }), text(key, format, y)],
      };
    }),
  };
}

/** Columns of the plot of growth. */
const GROWTH = [
  ['throughput', 'requests/s'],
  ['cost', 'process, µs per request'],
  ['jsCpu', 'JS thread, µs per request'],
  ['p99', 'p99, ms'],
  ['loopDelay', 'event-loop delay, ms'],
  ['rss', 'memory, MB'],
];

/**
 * What costs become over each range of `just bench-scale`: a row for each range, a column for each figure.
 *
 * @param {object} report
 * @returns {Promise<string>} an SVG
 */
export function growthPlot(report) {
  const rows = report.ranges.map(({ title, what, points }) => {
    const values = points.flatMap(({ at, bytes, clients }) =>
      Object.entries(clients).map(([client, { nanosecondsPerByte, ...figures }]) => {
        return {
          at: amount(at),
          client,
          ...figures,
          cost: bytes === undefined ? figures.processCpu : nanosecondsPerByte,
        };
      }),
    );
    const perByte = points.some(({ bytes }) => bytes !== undefined);
    return {
      spacing: 12,
      title: { text: title, anchor: 'start', fontSize: 12 },
      data: { values },
      hconcat: GROWTH.map(([field, name]) => ({
        width: 150,
        height: 110,
        mark: { type: 'line', point: true },
        encoding: {
          x: {
            field: 'at',
            type: 'ordinal',
            sort: null,
            title: what,
            axis: { labelAngle: 0, labelOverlap: true },
          },
          y: {
            field,
            type: 'quantitative',
            scale: perByte ? { type: 'log' } : { zero: true },
            title: field === 'cost' && perByte ? 'process, ns per byte' : name,
            axis: { ...ticks, format: '~s' },
          },
          color: {
            field: 'client',
            scale: { domain: ['dodici', 'undici'], range: [OURS, OTHERS] },
            title: null,
          },
        },
      })),
    };
  });
  return svg({ ...frame(report, 'What a request costs as things grow'), vconcat: rows });
}

const ticks = { grid: false, tickCount: 4 };

function frame(report, title) {
  const { undici } = report.versions;
  return {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    background: 'white',
    padding: 16,
    title: {
      text: title,
      subtitle: `undici ${undici}, Node ${report.node}, ${report.machine}; median of ${report.rounds} rounds`,
      anchor: 'start',
      offset: 14,
      subtitleColor: '#57606a',
    },
    config: { view: { stroke: null }, font: 'system-ui, sans-serif' },
  };
}

function panel(title, width, step) {
  return { title: { text: title, fontSize: 12, fontWeight: 'normal' }, width, height: { step } };
}

const loads = (index) => category('load', index);

/** Only the first panel has names. */
function category(field, index) {
  const axis = { ticks: false, domain: false, labelLimit: 0, labelPadding: 8 };
  return { field, type: 'nominal', sort: null, title: null, axis: index === 0 ? axis : null };
}

function bar(encoding) {
  return { mark: { type: 'bar', cornerRadiusEnd: 2, color: OURS, height: 14 }, encoding };
}

function text(field, format, y) {
  return {
    mark: { type: 'text', align: 'left', dx: 4, fontSize: 11 },
    encoding: {
      x: { field, type: 'quantitative' },
      y,
      text: { field, type: 'quantitative', format },
    },
  };
}

/** Long labels in two lines: Vega takes a list of them. @param {string} title */
function wrap(title) {
  if (title.length < 46) return title;
  const comma = title.lastIndexOf(', ', 56);
  return comma < 0 ? title : [title.slice(0, comma + 1), title.slice(comma + 2)];
}

async function svg(specification) {
  // Loaded late: help and figures need no plot library.
  const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')]);
  const view = new vega.View(vega.parse(compile(specification).spec), { renderer: 'none' });
  return `${await view.toSVG()}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  });
  const [report, prefix] = positionals;
  if (values.help || prefix === undefined) {
    process.stdout.write(HELP);
    process.exit(values.help ? 0 : 2);
  }
  const drawn = await plots(JSON.parse(readFileSync(report, 'utf8')));
  for (const [file, content] of Object.entries(drawn)) {
    writeFileSync(`${prefix}-${file}`, content);
  }
}
