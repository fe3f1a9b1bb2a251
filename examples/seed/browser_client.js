// "Browser Client": the other side of pub_sub.ts, in a page that the server itself gave.

const socket = new WebSocket("ws://localhost:3000/chat");

socket.addEventListener("message", event => {
  console.log(event.data);
});
