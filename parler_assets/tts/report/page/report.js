(() => {
  const page = document.currentScript.closest('.listening');
  const all = (selector, within = page) => [...within.querySelectorAll(selector)];
  const one = (selector, within = page) => within.querySelector(selector);
  const controls = one('.controls'), main = one('main'), blind = one('.blind'), cells = all('.cell');
  controls.hidden = false;

  const sorted = (items, worst, place) => [...items].sort((a, b) =>
    (worst ? b.dataset.missed - a.dataset.missed : 0) || place(a) - place(b));
  const takes = new Map(cells.map(cell => [cell, all('.take', cell)]));

  function show() {
    const wanted = Object.fromEntries(all('[data-filter]').map(s => [s.dataset.filter, s.value]));
    const missed = one('[data-missed]', controls).checked;
    const worst = one('[data-order]').value === 'worst';
    let count = 0;
    for (const cell of cells) {
      const own = takes.get(cell);
      for (const take of own)
        take.hidden = (wanted.rate && take.dataset.rate !== wanted.rate) || (missed && !(+take.dataset.missed > 0));
      const shown = own.filter(take => !take.hidden).length;
      cell.hidden = !shown || ['speaker', 'style', 'kind'].some(key => wanted[key] && cell.dataset[key] !== wanted[key]);
      if (!cell.hidden) count += shown;
      cell.append(...sorted(own, worst, take => own.indexOf(take)));
    }
    main.append(...sorted(cells, worst, cell => +cell.dataset.place));
    one('output').textContent = `${count} shown`;
  }
  controls.addEventListener('change', show);
  show();

  // One sound at a time.
  page.addEventListener('play', event => {
    for (const audio of all('audio')) if (audio !== event.target) audio.pause();
  }, true);

  // The overview: hear the first fine-tuned sample of a cell, and go to the cell.
  let heard = null;
  for (const button of all('[data-hear]')) {
    const [speaker, style] = button.dataset.hear.split('/');
    const cell = cells.find(c => c.dataset.kind === 'grid' && c.dataset.speaker === speaker && c.dataset.style === style);
    const audio = one('.finetuned audio', cell);
    const mark = on => { button.classList.toggle('on', on); one('i', button).textContent = on ? '■' : '▶'; };
    audio.addEventListener('play', () => mark(true));
    for (const ended of ['pause', 'ended']) audio.addEventListener(ended, () => mark(false));
    button.addEventListener('click', () => { heard = audio; audio.paused ? audio.play() : audio.pause(); });
    button.addEventListener('dblclick', () => cell.scrollIntoView({ block: 'start' }));
  }

  // Blind comparison: two systems on the same words, in random order; real against copy is among them as a control.
  // Votes stay in this browser until they are saved to a file.
  const key = `votes of ${document.title} ${all('.take').length}`;
  const kept = { read: () => { try { return JSON.parse(localStorage.getItem(key)) || []; } catch { return []; } },
    write: list => { try { localStorage.setItem(key, JSON.stringify(list)); } catch { /* a page without storage */ } } };
  const votes = kept.read(), pairs = [];
  let current = null, ahead = [];
  const system = player => [...player.classList].find(name => name !== 'player');
  const shuffled = list => list.map(item => [Math.random(), item]).sort((a, b) => a[0] - b[0]).map(pair => pair[1]);
  for (const take of all('.take')) {
    const players = all('figure', take);
    for (let i = 0; i < players.length; i++)
      for (let j = i + 1; j < players.length; j++) pairs.push({ take, players: [players[i], players[j]] });
  }
  function next() {
    if (!ahead.length) ahead = shuffled(pairs);
    const { take, players } = ahead.pop();
    const cell = take.closest('.cell').dataset;
    current = { prompt: take.dataset.prompt, speaker: cell.speaker, style: cell.style || cell.kind };
    shuffled(players).forEach((player, side) => {
      current['AB'[side]] = system(player);
      one(`[data-side="${'AB'[side]}"]`).src = one('audio', player).src;
    });
    one('.blind .asked').replaceChildren(...[...one('.asked', take).children].slice(1).map(node => node.cloneNode(true)));
    saveable();
  }
  function saveable() {
    one('.count').textContent = `${votes.length} votes`;
    const link = one('.save');
    link.hidden = !votes.length;
    URL.revokeObjectURL(link.href);
    link.href = URL.createObjectURL(new Blob([JSON.stringify(votes, null, 1)], { type: 'application/json' }));
  }
  function tally() {
    const found = {};
    for (const vote of votes) {
      const names = [vote.A, vote.B].sort().join(' against ');
      const counts = found[names] ||= {};
      const won = vote.preferred || 'no difference';
      counts[won] = (counts[won] || 0) + 1;
    }
    return Object.entries(found).map(([names, counts]) =>
      `${names}: ${Object.entries(counts).map(([won, count]) => `${won} ${count}`).join(', ')}`).join('; ');
  }
  function open(on) {
    blind.hidden = !on;
    main.hidden = one('.overview').hidden = on;
    all('audio').forEach(audio => audio.pause());
    if (on) { next(); blind.scrollIntoView({ block: 'center' }); }
    else if (votes.length) { one('.voted').textContent = `Your votes: ${tally()}`; }
  }
  one('[data-blind]').hidden = !pairs.length;
  one('[data-blind]').addEventListener('click', () => open(true));
  one('[data-leave]').addEventListener('click', () => open(false));
  blind.addEventListener('click', event => {
    const vote = event.target.dataset.vote;
    if (!vote || !current) return;
    votes.push({ ...current, vote, preferred: current[vote] ?? null, at: new Date().toISOString() });
    kept.write(votes);
    next();
  });
})();
