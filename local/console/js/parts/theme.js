// The theme follows the system until the user chooses one.
import { html, useState } from '../ui.js';
import { Button } from './basic.js';
import { useLabels } from './labels.js';

function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
}

export function ThemeSwitch() {
  const [now, setNow] = useState(theme());
  const { useLight, useDark } = useLabels();
  const turn = () => {
    const next = now === 'dark' ? 'light' : 'dark';
    document.documentElement.dataset.theme = next;
    localStorage.setItem('theme', next);
    setNow(next);
  };
  return html`<${Button} kind="quiet" icon=${now === 'dark' ? 'sun' : 'moon'}
    label=${now === 'dark' ? useLight : useDark} onClick=${turn} />`;
}
