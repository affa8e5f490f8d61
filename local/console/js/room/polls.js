// Polls in the room: the trainer launches and closes them, students vote, and everyone sees the tally.
import { html, useEffect, useRef, useState, useCallback } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { ask } from '../notes.js';
import { Badge, Button, Empty, ProblemNote } from '../parts/basic.js';
import { Switch, Text } from '../parts/form.js';
import { Tally } from '../parts/tally.js';

/** An unchanged tally costs one read and no body (304), so frequent polling is cheap. */
const LOOK_EVERY_MS = 2_000;
const MOST_OPTIONS = 10;

function usePolls(as, id) {
  const [state, setState] = useState({ items: undefined, problem: null });
  const tag = useRef(null);
  const look = useCallback(async () => {
    try {
      const { status, data, headers } = await api(as).call({
        path: `/v1/sessions/${id}/polls`,
        background: true,
        headers: tag.current ? { 'if-none-match': tag.current } : {},
      });
      if (status === 304) return;
      tag.current = headers.get('etag');
      setState({ items: data.items, problem: null });
    } catch (problem) {
      setState((held) => ({ ...held, problem }));
    }
  }, [as, id]);
  useEffect(() => {
    look();
    const timer = setInterval(() => {
      if (!document.hidden) look();
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [look]);
  return {
    ...state,
    look: () => {
      tag.current = null;
      return look();
    },
  };
}

export function PollPanel({ as, session, owner, word }) {
  const polls = usePolls(as, session.id);
  const items = polls.items || [];
  const open = items.find((poll) => poll.state === 'open');
  const earlier = items.filter((poll) => poll !== open);
  return html`<aside class="poll-panel" tabindex="0" aria-labelledby="polls-heading"><h2 id="polls-heading">${word('polls')}</h2>
    ${polls.problem && !polls.items && html`<${ProblemNote} of=${polls.problem} />`}
    ${open && html`<${OpenPoll} key=${open.id} as=${as} session=${session} poll=${open} owner=${owner} word=${word} look=${polls.look} />`}
    ${!open && owner && session.status !== 'live' && html`<${Empty} icon="poll" title=${word('noPoll')}>${word('notLive')}<//>`}
    ${!open && owner && session.status === 'live' && html`<${Launch} as=${as} session=${session} word=${word} look=${polls.look} />`}
    ${!open && !owner && html`<${Empty} icon="poll" title=${word('noPoll')}>${word('noPollMore')}<//>`}
    ${
      earlier.length > 0 &&
      html`<h3>${word('earlier')}</h3>${earlier.map(
        (poll) => html`<article class="card poll" key=${poll.id}><h4><bdi>${poll.question}</bdi></h4>
      <p class="fine"><${Badge}>${word('closed')}<//> ${word('answers', { n: poll.responses })}</p><${Tally} of=${poll} word=${(n) => word('votes', { n })} /></article>`,
      )}`
    }</aside>`;
}

function OpenPoll({ as, session, poll, owner, word, look }) {
  const mine = poll.my_vote || [];
  const [chosen, setChosen] = useState(mine);
  const [again, setAgain] = useState(false);
  const [missing, setMissing] = useState(false);
  const base = `/v1/sessions/${session.id}/polls/${poll.id}`;
  const voting = !owner && (mine.length === 0 || again);
  const vote = async (event) => {
    event.preventDefault();
    if (!chosen.length) {
      setMissing(true);
      return;
    }
    const done = await click('Vote', () => api(as).put(`${base}/vote`, { option_ids: chosen }), {
      done: word('voted'),
    });
    if (done) setAgain(false);
    await look();
  };
  const close = async () => {
    const sure = await ask({ title: word('closeAsk'), text: word('closeMore'), yes: word('close'), no: word('keep') });
    if (!sure) return;
    await click('Close a poll', () => api(as).post(`${base}/close`));
    await look();
  };
  const pick = (id) => {
    setMissing(false);
    setChosen((held) =>
      poll.multiple ? (held.includes(id) ? held.filter((each) => each !== id) : [...held, id]) : [id],
    );
  };
  return html`<article class="card poll open"><p class="class-facts"><${Badge} tone="live">${word('open')}<//>${poll.anonymous && html`<${Badge}>${word('anonymous')}<//>`}<span class="fine" role="status">${poll.responses == null ? word('afterClose') : word('answers', { n: poll.responses })}${poll.response_rate != null && html` · ${Math.round(poll.response_rate)} %`}</span></p>
    ${
      voting
        ? html`<form onSubmit=${vote}><fieldset class="ballot"><legend><bdi>${poll.question}</bdi></legend>${poll.options.map(
            (option) => html`<label key=${option.id} class=${chosen.includes(option.id) ? 'chosen' : ''}>
        <input type=${poll.multiple ? 'checkbox' : 'radio'} name="vote" checked=${chosen.includes(option.id)} onChange=${() => pick(option.id)} /><bdi>${option.text}</bdi></label>`,
          )}</fieldset>
        ${missing && html`<p class="error" role="alert">${word('chooseFirst')}</p>`}<${Button} type="submit" kind="primary">${word('vote')}<//></form>`
        : html`<h3><bdi>${poll.question}</bdi></h3><${Tally} of=${poll} word=${(n) => word('votes', { n })} />
        ${
          owner
            ? html`<${Button} kind="danger-quiet" onClick=${close}>${word('close')}<//>`
            : html`<${Button} kind="quiet" small onClick=${() => {
                setChosen(mine);
                setAgain(true);
              }}>${word('changeVote')}<//>`
        }`
    }</article>`;
}

function Launch({ as, session, word, look }) {
  const [question, setQuestion] = useState('');
  const [options, setOptions] = useState(['', '']);
  const [multiple, setMultiple] = useState(false);
  const [anonymous, setAnonymous] = useState(false);
  const [hidden, setHidden] = useState(false);
  const [problem, setProblem] = useState(null);
  const attempt = useRef({ text: '', key: '' });
  const errors = Object.fromEntries((problem?.errors || []).map((error) => [error.field, error.message]));
  const launch = async (event) => {
    event.preventDefault();
    const body = {
      question,
      options: options.map((text) => text.trim()).filter(Boolean),
      multiple,
      anonymous,
      results: hidden ? 'after_close' : 'always',
    };
    const text = JSON.stringify(body);
    if (attempt.current.text !== text) attempt.current = { text, key: crypto.randomUUID() };
    setProblem(null);
    try {
      await click(
        'Launch a poll',
        () => api(as).post(`/v1/sessions/${session.id}/polls`, body, { 'idempotency-key': attempt.current.key }),
        { quiet: true },
      );
      setQuestion('');
      setOptions(['', '']);
      attempt.current = { text: '', key: '' };
      await look();
    } catch (told) {
      setProblem(told);
    }
  };
  return html`<form class="card poll launch" onSubmit=${launch}><h3>${word('newPoll')}</h3><${ProblemNote} of=${problem} />
    <${Text} label=${word('question')} value=${question} onInput=${setQuestion} error=${errors.question} required maxlength=${300} dir="auto" />
    ${options.map(
      (
        text,
        n,
      ) => html`<div class="option-row" key=${n}><${Text} label=${word('option', { n: n + 1 })} value=${text} error=${errors[`options[${n}]`] || errors[`options[${n}].text`]} required=${n < 2} maxlength=${200} dir="auto"
        onInput=${(value) => setOptions(options.map((held, m) => (m === n ? value : held)))} />
      ${options.length > 2 && html`<${Button} kind="quiet" small icon="close" label=${word('removeOption', { n: n + 1 })} onClick=${() => setOptions(options.filter((_, m) => m !== n))} />`}</div>`,
    )}
    ${options.length < MOST_OPTIONS && html`<p><${Button} kind="quiet" small icon="plus" onClick=${() => setOptions([...options, ''])}>${word('addOption')}<//></p>`}
    <${Switch} label=${word('multiple')} checked=${multiple} onChange=${setMultiple} /><${Switch} label=${word('anonymous')} checked=${anonymous} onChange=${setAnonymous} />
    <${Switch} label=${word('afterClose')} checked=${hidden} onChange=${setHidden} />
    <${Button} type="submit" kind="primary" icon="send">${word('launch')}<//></form>`;
}
