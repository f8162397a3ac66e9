// Search by substring, for English and Chinese alike: every word of the query must occur. It has Fuse's interface,
// which the page's script expects. The index is a script, because file:// pages may not fetch.
window.loadSearchIndex = (url) => new Promise((resolve) => {
  const script = document.createElement("script");
  script.src = url;
  script.onload = () => resolve(window.searchIndex || []);
  script.onerror = () => resolve([]);
  document.head.append(script);
});

window.Fuse = class {
  constructor(entries) {
    this.rows = entries.map((item) => ({
      item,
      title: item.title.toLowerCase(),
      section: item.section.toLowerCase(),
      text: item.text.toLowerCase(),
    }));
  }

  // A word in a heading counts most, then a whole word, then how often it occurs. A title counts for the page, not for
  // each of its sections, so that a page is found once by its name.
  score(row, term) {
    const whole = new RegExp("(^|[^a-z0-9])" + term.replace(/[.*+?^${}()|[\]\\]/g, "\\$&") + "($|[^a-z0-9])");
    const times = row.text.split(term).length - 1;
    const own = (row.section.includes(term) ? 8 : 0) + (whole.test(row.section) ? 4 : 0) + Math.min(times, 5) + (whole.test(row.text) ? 2 : 0);
    const title = row.title.includes(term) ? (row.section ? 1 : 12) + (whole.test(row.title) ? 1 : 0) : 0;
    return { own: own + (row.section ? 0 : title), any: own + title };
  }

  search(query, { limit }) {
    const terms = query.toLowerCase().split(/\s+/).filter(Boolean);
    return this.rows
      .map((row) => ({ item: row.item, scores: terms.map((term) => this.score(row, term)) }))
      .filter((hit) => hit.scores.every((s) => s.any) && hit.scores.some((s) => s.own))
      .map((hit) => ({ item: hit.item, total: hit.scores.reduce((sum, s) => sum + s.any, 0) }))
      .sort((a, b) => b.total - a.total)
      .slice(0, limit);
  }
};
