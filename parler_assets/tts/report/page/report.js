(() => {
  const page = document.currentScript.closest('.listening');
  const all = (selector, within = page) => [...within.querySelectorAll(selector)];
  const one = (selector, within = page) => within.querySelector(selector);
  const controls = one('.controls'), main = one('main'), blind = one('.blind'), cells = all('.cell');
  controls.hidden = false;

  function show() {
    const wanted = Object.fromEntries(all('[data-filter]').map(s => [s.dataset.filter, s.value]));
    const missed = one('[data-missed]', controls).checked;
    let takes = 0;
    for (const cell of cells) {
      let any = false;
      for (const take of all('.take', cell)) {
        const fits = !wanted.rate || take.dataset.rate === wanted.rate;
        take.hidden = !fits || (missed && !(+take.dataset.missed > 0));
        any ||= !take.hidden;
      }
      cell.hidden = !any || ['speaker', 'style'].some(key => wanted[key] && cell.dataset[key] !== wanted[key]);
      if (!cell.hidden) takes += all('.take', cell).filter(take => !take.hidden).length;
    }
    const worst = one('[data-order]').value === 'worst';
    const place = cell => +cell.dataset.place;
    cells.sort((a, b) => worst ? b.dataset.missed - a.dataset.missed || place(a) - place(b) : place(a) - place(b));
    main.append(...cells);
    one('output').textContent = `${takes} shown`;
  }
  controls.addEventListener('change', show);
  show();

  // One sound at a time.
  page.addEventListener('play', event => {
    for (const audio of all('audio')) if (audio !== event.target) audio.pause();
  }, true);

  // Blind comparison: two systems on the same words, in random order; real against copy is among them as a control.
  const votes = [], pairs = [];
  let current = null;
  for (const take of all('.take')) {
    const players = all('figure', take);
    if (players.length > 1) pairs.push({ take, players });
  }
  function next() {
    const { take, players } = pairs[Math.floor(Math.random() * pairs.length)];
    const order = Math.random() < 0.5 ? [0, 1] : [1, 0];
    const cell = take.closest('.cell').dataset;
    current = { prompt: take.dataset.prompt, speaker: cell.speaker, style: cell.style };
    order.forEach((place, side) => {
      const system = [...players[place].classList].find(name => name !== 'player');
      current['AB'[side]] = system;
      one(`[data-side="${'AB'[side]}"]`).src = one('audio', players[place]).src;
    });
    one('.blind .asked').replaceChildren(...[...one('.asked', take).children].slice(1).map(node => node.cloneNode(true)));
    one('.count').textContent = `${votes.length} votes`;
  }
  function open(on) {
    blind.hidden = !on;
    main.hidden = on;
    all('audio').forEach(audio => audio.pause());
    if (on) { next(); blind.scrollIntoView({ block: 'center' }); }
  }
  one('[data-blind]').hidden = !pairs.length;
  one('[data-blind]').addEventListener('click', () => open(true));
  one('[data-leave]').addEventListener('click', () => open(false));
  blind.addEventListener('click', event => {
    const vote = event.target.dataset.vote;
    if (!vote || !current) return;
    votes.push({ ...current, vote, preferred: current[vote] ?? null, at: new Date().toISOString() });
    const file = new Blob([JSON.stringify(votes, null, 1)], { type: 'application/json' });
    const link = one('.save');
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(file);
    next();
  });
})();
