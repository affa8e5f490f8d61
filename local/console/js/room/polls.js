// Polls in the room: the trainer launches and closes them, students vote, and everyone sees the tally.
import { html, useEffect, useRef, useState, useCallback } from '../ui.js';
import { api } from '../api.js';
import { click } from '../cost.js';
import { ask } from '../notes.js';
import { Badge, Button, Empty } from '../parts/basic.js';
import { Switch, Text } from '../parts/form.js';
import { Tally } from '../parts/tally.js';
import { Trouble } from './lobby.js';

const MOST_OPTIONS = 10;
/** The interval until the first response names one. */
const FIRST_INTERVAL_S = 15;
/** A class of thousands must not look at the same moment: each look comes up to this share early. */
const JITTER = 0.1;

/**
 * Reads the polls at the interval that the server names. An unchanged tally has no body (304). A change of `status`
 * looks at once, because the server names a longer interval before the class.
 */
export function usePolls(as, id, status) {
  const [state, setState] = useState({ items: undefined, problem: null });
  const held = useRef({ tag: null, seconds: FIRST_INTERVAL_S });
  const look = useCallback(async () => {
    const { tag } = held.current;
    try {
      const {
        status: answered,
        data,
        headers,
      } = await api(as).call({
        path: `/v1/sessions/${id}/polls`,
        background: true,
        headers: tag ? { 'if-none-match': tag } : {},
      });
      if (answered === 304) return;
      held.current = { tag: headers.get('etag'), seconds: data.next_look_seconds ?? FIRST_INTERVAL_S };
      setState({ items: data.items, problem: null });
    } catch (problem) {
      setState((before) => ({ ...before, problem }));
    }
  }, [as, id]);
  useEffect(() => {
    if (!status) return undefined;
    let timer;
    const turn = async () => {
      if (!document.hidden) await look();
      timer = setTimeout(turn, held.current.seconds * 1000 * (1 - JITTER * Math.random()));
    };
    // Somebody who comes back to this window sees the poll at once.
    const shown = () => {
      if (!document.hidden) look();
    };
    turn();
    document.addEventListener('visibilitychange', shown);
    return () => {
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [look, status]);
  const again = () => {
    held.current = { ...held.current, tag: null };
    return look();
  };
  return { ...state, look: again, open: state.items?.find((poll) => poll.state === 'open') };
}

/** Whether a poll waits for this person's vote. */
export const isUnanswered = (polls, owner) => Boolean(!owner && polls.open && !polls.open.my_vote?.length);

/**
 * Announces each new poll once, also while the panel is closed. The region is always in the page, because screen
 * readers ignore regions that appear together with their text. Votes change nothing in it.
 */
export function Announcer({ polls, owner, word }) {
  const { open } = polls;
  const text = open && !owner ? word('newPollIs', { question: open.question }) : null;
  return html`<div class="hidden" role="status" aria-live="polite" data-polls>${text}</div>`;
}

export function PollPanel({ as, session, polls, owner, language, word, hidden, isSheet, onClose }) {
  const items = polls.items || [];
  const { open } = polls;
  const earlier = items.filter((poll) => poll !== open);
  const heading = useRef(null);
  const wasHidden = useRef(hidden);
  useEffect(() => {
    // A sheet that somebody opens covers the class, so the focus goes there.
    if (isSheet && wasHidden.current && !hidden) heading.current.focus();
    wasHidden.current = hidden;
  }, [hidden, isSheet]);
  useEffect(() => {
    if (!isSheet || hidden) return undefined;
    const key = (event) => {
      if (event.key === 'Escape' && !document.querySelector('dialog[open]')) onClose();
    };
    document.addEventListener('keydown', key);
    return () => document.removeEventListener('keydown', key);
  }, [hidden, isSheet]);
  return html`<aside class=${`poll-panel${isSheet ? ' sheet' : ''}`} tabindex="0" aria-labelledby="polls-heading"
      hidden=${hidden}>
    <div class="panel-head"><h2 id="polls-heading" tabindex="-1" ref=${heading}>${word('polls')}</h2>
      ${
        isSheet && html`<${Button} kind="quiet" small icon="close" label=${word('closePolls')} onClick=${onClose} />`
      }</div>
    ${polls.problem && !polls.items && html`<${Trouble} problem=${polls.problem} language=${language} word=${word} />`}
    ${
      open &&
      html`<${OpenPoll} key=${open.id} as=${as} session=${session} poll=${open} owner=${owner} word=${word}
        look=${polls.look} />`
    }
    ${
      !open &&
      owner &&
      session.status !== 'live' &&
      html`<${Empty} icon="poll" title=${word('noPoll')}>${word('notLive')}<//>`
    }
    ${
      !open &&
      owner &&
      session.status === 'live' &&
      html`<${Launch} as=${as} session=${session} language=${language} word=${word} look=${polls.look} />`
    }
    ${!open && !owner && html`<${Empty} icon="poll" title=${word('noPoll')}>${word('noPollMore')}<//>`}
    ${
      earlier.length > 0 &&
      html`<h3>${word('earlier')}</h3>${earlier.map(
        (poll) => html`<article class="card poll" key=${poll.id}><h4><bdi>${poll.question}</bdi></h4>
      <p class="fine"><${Badge}>${word('closed')}<//> ${word('answers', { n: poll.responses })}</p>
      <${Tally} of=${poll} word=${(n) => word('votes', { n })} /></article>`,
      )}`
    }</aside>`;
}

function OpenPoll({ as, session, poll, owner, word, look }) {
  const mine = poll.my_vote || [];
  const [chosen, setChosen] = useState(mine);
  const [again, setAgain] = useState(false);
  const [missing, setMissing] = useState(false);
  /** @type {`/v1/sessions/${string}/polls/${string}`} */
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
    const sure = await ask({ title: word('closeAsk'), text: word('closeMore'), yes: word('close') });
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
  return html`<article class="card poll open"><p class="class-facts"><${Badge} tone="live">${word('open')}<//>
      ${poll.anonymous && html`<${Badge}>${word('anonymous')}<//>`}
      <span class="fine">${poll.responses == null ? word('afterClose') : word('answers', { n: poll.responses })}
        ${poll.response_rate != null && html` · ${Math.round(poll.response_rate)} %`}</span></p>
    ${
      voting
        ? html`<form onSubmit=${vote}><fieldset class="ballot"><legend><bdi>${poll.question}</bdi></legend>
        ${poll.options.map(
          (option) => html`<label key=${option.id} class=${chosen.includes(option.id) ? 'chosen' : ''}>
          <input type=${poll.multiple ? 'checkbox' : 'radio'} name="vote" checked=${chosen.includes(option.id)}
            onChange=${() => pick(option.id)} /><bdi>${option.text}</bdi></label>`,
        )}</fieldset>
        ${missing && html`<p class="error" role="alert">${word('chooseFirst')}</p>`}
        <${Button} type="submit" kind="primary">${word('vote')}<//></form>`
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

function Launch({ as, session, language, word, look }) {
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
    /** @type {import('../api-types.js').Schemas['LaunchPoll']} */
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
  return html`<form class="card poll launch" onSubmit=${launch}><h3>${word('newPoll')}</h3>
    ${problem && html`<${Trouble} problem=${problem} language=${language} word=${word} />`}
    <${Text} label=${word('question')} value=${question} onInput=${setQuestion} error=${errors.question} required
      maxlength=${300} dir="auto" />
    ${options.map(
      (text, n) => html`<div class="option-row" key=${n}><${Text} label=${word('option', { n: n + 1 })} value=${text}
        error=${errors[`options[${n}]`] || errors[`options[${n}].text`]} required=${n < 2} maxlength=${200} dir="auto"
        onInput=${(value) => setOptions(options.map((held, m) => (m === n ? value : held)))} />
      ${
        options.length > 2 &&
        html`<${Button} kind="quiet" small icon="close" label=${word('removeOption', { n: n + 1 })}
          onClick=${() => setOptions(options.filter((_, m) => m !== n))} />`
      }</div>`,
    )}
    ${
      options.length < MOST_OPTIONS &&
      html`<p><${Button} kind="quiet" small icon="plus" onClick=${() => setOptions([...options, ''])}>
        ${word('addOption')}<//></p>`
    }
    <${Switch} label=${word('multiple')} checked=${multiple} onChange=${setMultiple} />
    <${Switch} label=${word('anonymous')} checked=${anonymous} onChange=${setAnonymous} />
    <${Switch} label=${word('afterClose')} checked=${hidden} onChange=${setHidden} />
    <${Button} type="submit" kind="primary" icon="send">${word('launch')}<//></form>`;
}
