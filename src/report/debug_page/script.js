(() => {
'use strict';
const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
const one = (selector) => document.querySelector(selector);
const WORST = 14;

// Tables: numbers as numbers, what is missing last, whatever the direction.
const key = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.v === undefined) return cell.textContent.trim();
  return cell.dataset.v === '' ? null : Number(cell.dataset.v);
};
const compare = (a, b) => typeof a === 'number' && typeof b === 'number'
  ? (a < b ? -1 : a > b ? 1 : 0)
  : String(a).localeCompare(String(b), 'en', {numeric: true});
const sort = (th, direction) => {
  const table = th.closest('table');
  const body = table.tBodies[0];
  for (const other of all('th[aria-sort]', table)) if (other !== th) other.removeAttribute('aria-sort');
  th.setAttribute('aria-sort', direction === 'desc' ? 'descending' : 'ascending');
  const sign = direction === 'desc' ? -1 : 1;
  const rows = Array.from(body.rows).map((row, i) => [key(row, th.cellIndex), i, row]);
  rows.sort((a, b) => {
    if (a[0] === null || b[0] === null) return (a[0] === null) - (b[0] === null) || a[1] - b[1];
    return sign * compare(a[0], b[0]) || a[1] - b[1];
  });
  body.append(...rows.map((r) => r[2]));
};
for (const button of all('table.sort th button')) {
  button.addEventListener('click', () => {
    const th = button.closest('th');
    const now = th.getAttribute('aria-sort');
    const first = th.dataset.first || 'asc';
    sort(th, now === null ? first : now === 'ascending' ? 'desc' : 'asc');
  });
}

// The filter: rows, details, and boxes of the graph.
const rows = all('#ops tbody tr');
const nodes = all('.graph .node');
const filter = one('#filter');
const apply = () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = new Set();
  let shown = 0;
  for (const row of rows) {
    const names = all('[title]', row).map((e) => e.title).join(' ');
    const text = `${row.textContent} ${names}`.toLowerCase();
    const fits = words.every((word) => text.includes(word));
    row.hidden = !fits;
    const detail = document.getElementById(`o${row.dataset.row}`);
    if (detail) detail.hidden = !fits;
    if (fits) {
      shown += 1;
      kept.add(row.cells[0].textContent);
    }
  }
  for (const node of nodes) node.classList.toggle('off', !kept.has(node.dataset.op));
  one('#shown').textContent = words.length ? `${shown} of ${rows.length}` : '';
};
if (filter) filter.addEventListener('input', apply);

// The graph: colours and figures of the chosen measure, and a list of the worst.
const metric = one('#metric');
const paint = () => {
  const at = metric.selectedIndex;
  for (const legend of all('[data-legend]')) legend.hidden = legend.dataset.legend !== metric.value;
  const ranked = [];
  for (const node of nodes) {
    const severity = node.dataset.s.split('|')[at];
    const text = node.dataset.t.split('|')[at];
    const step = severity === '' ? 'none' : `f${Math.round(Number(severity) * 8)}`;
    node.setAttribute('class', node.getAttribute('class').replace(/\b(f\d|none)\b/, step));
    node.querySelector('.v').textContent = text;
    if (Number(severity) > 0) ranked.push([Number(severity), node, text]);
  }
  ranked.sort((a, b) => b[0] - a[0]);
  one('#rank').replaceChildren(...ranked.slice(0, WORST).map(([severity, node, text]) => {
    const item = document.createElement('li');
    const link = document.createElement('a');
    link.href = node.getAttribute('href');
    const [name, figure, bar] = ['span', 'b', 'i'].map((tag) => document.createElement(tag));
    name.textContent = node.querySelector('text').textContent;
    figure.textContent = text;
    bar.className = `b${Math.round(severity * 8)}`;
    bar.style.width = `${Math.max(1, severity * 100)}%`;
    link.append(name, figure, bar);
    const lit = (on) => {
      node.classList.toggle('lit', on);
      if (!on) return;
      const strip = one('.strip');
      const box = node.getBBox();
      strip.scrollTo({top: box.y - strip.clientHeight / 2, left: box.x - strip.clientWidth / 2, behavior: 'smooth'});
    };
    link.addEventListener('mouseenter', () => lit(true));
    link.addEventListener('mouseleave', () => lit(false));
    item.append(link);
    return item;
  }));
};
if (metric) {
  metric.addEventListener('change', paint);
  paint();
}

// Details: what is linked to opens.
const open = (id) => {
  const detail = /^o\d+$/.test(id) ? document.getElementById(id) : null;
  if (!detail) return;
  detail.hidden = false;
  detail.open = true;
  detail.scrollIntoView();
};
document.addEventListener('click', (event) => {
  const link = event.target.closest('a[href^="#o"]');
  if (link) open(link.getAttribute('href').slice(1));
  const button = event.target.closest('[data-open]');
  if (button) for (const detail of all('details.op')) if (!detail.hidden) detail.open = button.dataset.open === '1';
});

// The address: #sort=KEY or KEY:asc or KEY:desc, filter=WORDS, metric=KEY; or a tensor.
const follow = () => {
  const fragment = location.hash.slice(1);
  open(fragment);
  const asked = new URLSearchParams(fragment);
  const [column, direction] = (asked.get('sort') || '').split(':');
  const th = all('#ops th[data-key]').find((t) => t.dataset.key === column);
  if (th && direction) sort(th, direction);
  else if (th) th.querySelector('button').click();
  if (filter && asked.has('filter')) {
    filter.value = asked.get('filter');
    apply();
  }
  if (metric && all('option', metric).some((o) => o.value === asked.get('metric'))) {
    metric.value = asked.get('metric');
    paint();
  }
};
addEventListener('hashchange', follow);
follow();
})();
