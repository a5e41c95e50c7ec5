"""The look of a report's page: on a telephone, in the dark, on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #22272b; --dim: #667079; --line: #dfe4e8; --shade: #f4f6f8;
  --accent: #1f6f8b; --fate0: #4d8f6a; --fate1: #e0a526; --fate2: #a9b1b7; --fate3: #c8553d;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #16191c; --ink: #e4e8eb; --dim: #98a3ab; --line: #343b41; --shade: #1f2428;
    --accent: #5fb6d3; --fate0: #5aa87d; --fate1: #d9a637; --fate2: #6b757d; --fate3: #de7259;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 66rem; padding: 1.5rem 1rem 4rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 Helvetica, Arial, "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.6rem; margin: 0 0 .75rem; overflow-wrap: anywhere; }
h2 {
  font-size: 1.2rem; margin: 2.5rem 0 .25rem;
  border-top: 1px solid var(--line); padding-top: 1rem;
}
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: 0 0 .75rem; color: var(--dim); max-width: 44rem; }
dl { display: flex; flex-wrap: wrap; gap: .5rem 2rem; margin: 0; }
dt { font-size: .8rem; color: var(--dim); }
dd { margin: 0; }
.figures { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: .5rem 0 1rem; }
.figures svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; }
th { font-weight: normal; color: var(--dim); border-bottom: 1px solid var(--line); }
td {
  border-bottom: 1px solid var(--line); min-width: 3rem; max-width: 24rem;
  overflow-wrap: break-word;
}
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.n small { display: block; }
small { color: var(--dim); font-size: .78rem; }
i { color: var(--accent); font-style: normal; font-size: .85rem; }
summary { cursor: pointer; padding: .15rem 0; }
summary:hover { background: var(--shade); }
ul {
  list-style: none; margin: 0 0 .25rem .45rem; padding-left: 1rem;
  border-left: 1px solid var(--line);
}
li { overflow-wrap: anywhere; }
@media print {
  :root { --paper: #fff; --ink: #000; --dim: #444; --line: #bbb; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  .figures, tr, h2, h3 { break-inside: avoid; }
  h2, h3, p { break-after: avoid; }
}
"""
