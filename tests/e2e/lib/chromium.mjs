// Chromium of the system, driven by playwright-core. `skip` is false, or says why there is none for a test to use.

import fs from 'node:fs';
import { patience } from './server.mjs';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(fs.existsSync);
const { chromium } = await import('playwright-core').catch(() => ({}));

export const skip = !executablePath ? 'no Chromium on this machine' : !chromium ? 'playwright-core is not installed (npm ci)' : false;

// Headless, and in touch with nobody but the pages it is sent to. The caller closes it.
export function launchChromium() {
  return chromium.launch({
    executablePath,
    headless: true,
    timeout: patience,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
}
