# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The style sheet of the report's page."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light; --ink: #1d2733; --soft: #5b6875; --line: #dde3e9; --paper: #fff; --back: #f4f6f8;
  --accent: #1f5fa8; --warn: #8a5300; --warn-back: #fff6e5; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main, header.top, footer { max-width: 74rem; margin: 0 auto; padding: 0 1.25rem; }
header.top { padding-top: 1.75rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.3rem; }
h3 { margin: 0 0 .25rem; font-size: 1.1rem; }
p { margin: .4rem 0; max-width: 60rem; }
a { color: var(--accent); }
.soft, figcaption, .caption, footer { color: var(--soft); }
.lead { font-size: 1.05rem; color: var(--soft); }
.state { display: inline-block; margin: .6rem 0 0; padding: .3rem .75rem; border-radius: .5rem;
  background: #e7f4ea; color: #17592a; }
.note, .state.open { background: var(--warn-back); color: var(--warn); }
.note { padding: .5rem .75rem; border-radius: .5rem; overflow-wrap: anywhere; }
nav { margin: 1rem 0 0; display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .75rem; margin: 1.25rem 0 0; }
.tile, .box { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem 1rem; }
.tile dt { color: var(--soft); font-size: .85rem; }
.tile dd { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.3; }
.tile dd small { display: block; font-size: .8rem; font-weight: 400; color: var(--soft); }
.box { margin: 0 0 1.25rem; }
.items { display: grid; gap: .9rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr));
  margin: .9rem 0; padding: 0; list-style: none; }
.items.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.items li { border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; }
figure.curve img { max-width: 52rem; }
figcaption { margin-top: .4rem; font-size: .9rem; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .5rem 0; padding: 0; list-style: none;
  font-size: .9rem; }
.swatch { display: inline-block; width: 1em; height: 1em; margin-right: .4em; vertical-align: -.12em;
  border-radius: .15em; }
.swatch.outline { background: #2b1140 !important; border: 3px solid; }
.swatch.hatch { background: repeating-linear-gradient(45deg, #9aa3ab 0 3px, #e4e8eb 3px 6px) !important; }
.ramp { display: inline-block; width: 7em; height: .9em; margin: 0 .4em; vertical-align: -.1em; border-radius: .15em;
  background: linear-gradient(90deg, #000004, #3b0f70, #8c2981, #de4968, #fe9f6d, #fcfdbf); }
.scroll { overflow-x: auto; margin: .35rem 0 .75rem; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; background: var(--paper); }
.caption { margin: 1rem 0 0; font-size: .9rem; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
thead th { border-bottom: 2px solid var(--line); vertical-align: bottom; white-space: normal; max-width: 11rem; }
th:first-child, td:first-child, td.words, th.words { text-align: left; }
td.words { white-space: normal; min-width: 11rem; overflow-wrap: anywhere; }
tbody th { font-weight: 600; }
details { margin: .75rem 0; }
summary { cursor: pointer; color: var(--accent); }
pre { overflow: auto; max-height: 32rem; padding: .75rem; background: var(--back); border-radius: .5rem;
  font-size: .8rem; }
footer { padding: 1.5rem 1.25rem 2.5rem; font-size: .85rem; }
@media (max-width: 40rem) {
  main, header.top, footer { padding-left: .75rem; padding-right: .75rem; }
  .box { padding: .6rem .7rem; }
  .items li { padding: .45rem; }
  .tiles, .items.small { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .5rem; }
  .tile { padding: .6rem .7rem; }
  .tile dd { font-size: 1.25rem; }
}
@media print {
  html { font-size: 68%; }
  body { background: #fff; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  nav { display: none; }
  .box, .tile { border-color: #ccc; }
  .items { grid-template-columns: repeat(2, 1fr); }
  .items.small { grid-template-columns: repeat(4, 1fr); }
  .items li, .tile, figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; }
  pre { max-height: none; white-space: pre-wrap; }
}
"""
