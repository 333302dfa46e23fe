// What a session asks of the server: one thing at a time, again while the server is away, and no more once undone.
import { sleep } from './label_map.js';
import { Unreachable } from './server.js';

const AGAIN = 2000; // ms between tries to reach a server that is away

export class Asking {
  // say(text, kind) tells the user; changed() is called when `busy`, what the user waits for, is another.
  constructor(say, changed) {
    Object.assign(this, { say, changed, busy: '' });
    this.queue = Promise.resolve();
  }

  // Lets the server do one thing at a time.
  enqueue(work) {
    this.queue = this.queue.then(work).catch(error => this.say(error.message, 'bad'));
    return this.queue;
  }

  async during(what, work) {
    this.busy = what;
    this.say(what);
    this.changed();
    try {
      return await work();
    } finally {
      this.busy = '';
      this.changed();
    }
  }

  // Asks the server until it answers, since it may be starting again; null where it refuses or the work is undone.
  answer(what, request) {
    const start = performance.now();
    this.controller = new AbortController();
    return this.during(what, async () => {
      try {
        const answer = await this.persist(request, this.controller.signal);
        this.say(`Answered in ${((performance.now() - start) / 1000).toFixed(1)} s`, 'good');
        return answer;
      } catch (error) {
        if (error.name === 'AbortError') this.say('Taken back');
        else this.say(error.message, 'bad');
        return null;
      }
    });
  }

  async persist(request, signal) {
    for (;;) {
      try {
        return await request(signal);
      } catch (error) {
        if (!(error instanceof Unreachable)) throw error;
        this.say(`${error.message} Nothing is lost; it is asked again.`, 'bad');
        await sleep(AGAIN);
        signal.throwIfAborted();
      }
    }
  }

  abort() {
    this.controller?.abort();
  }
}
