// How the API read the lists that were handed over on this page: who was left out, by the line that it stood on. Forgotten with
// the page; the answer to a send is the only place that tells it.

const KEPT = 20;
const readings = new Map();

/** Keeps what was answered to a send of these rows. */
export function keep({ queueId, reading }, rows) {
  if (!reading?.invalid && !reading?.duplicates) return;
  if (readings.size >= KEPT) readings.delete(readings.keys().next().value);
  const line = (place) => rows[place]?.line;
  readings.set(queueId, {
    invalid: { count: reading.invalid?.count || 0, first: (reading.invalid?.first || []).map(({ place, problem }) => ({ line: line(place), problem })) },
    twice: { count: reading.duplicates?.count || 0, first: (reading.duplicates?.first || []).map(({ place, of }) => ({ line: line(place), first: line(of) })) },
  });
}

export const readingOf = (queueId) => readings.get(queueId);
