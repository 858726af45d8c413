// A socket.io client that tells on its standard output, a JSON per line, all that it gets.
// Usage: node sockets.mjs '{"url": …, "options": {…}, "join": [tokens]}'
import { io } from 'socket.io-client';

const { url, options, join } = JSON.parse(process.argv[2]);
const tell = (event, data) => console.log(JSON.stringify({ event, data }));
const socket = io(url, { reconnection: false, ...options });
socket.onAny((event, data) => {
  tell(event, data);
  if (event === 'joined' && join) {
    socket.emit('join', join, (answer) => tell('join-answer', answer));
  }
});
socket.on('connect_error', (error) => tell('connect_error', error.message));
socket.on('disconnect', (reason) => tell('disconnect', reason));
// Ends with the one that started it.
process.stdin.on('end', () => process.exit(0)).resume();
