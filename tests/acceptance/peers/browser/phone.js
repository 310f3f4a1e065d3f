// A browser phone without the browser: JsSIP as published, on node, over a real WebSocket.
//
// What a browser would bring is stood in for: the WebSocket is that of `ws`, and the media engine is a stub that
// offers and answers a fixed SDP. So signalling is JsSIP's own, and no sound is tested.
// Orders come as JSON lines through a named pipe, what happens leaves as JSON lines on standard output.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");

const SDP = (host) =>
  ["v=0", `o=- 1 1 IN IP4 ${host}`, "s=-", `c=IN IP4 ${host}`, "t=0 0", "m=audio 40000 RTP/AVP 0",
   "a=rtpmap:0 PCMU/8000", "a=sendrecv", ""].join("\r\n");

class StubbedMedia {
  constructor() {
    this.iceGatheringState = "complete";
    this.iceConnectionState = "connected";
    this.signalingState = "stable";
    this.localDescription = this.remoteDescription = null;
  }
  addEventListener() {}
  removeEventListener() {}
  addTrack() {}
  getSenders() { return []; }
  close() { this.signalingState = "closed"; }
  async createOffer() { return { type: "offer", sdp: SDP(settings.host) }; }
  async createAnswer() { return { type: "answer", sdp: SDP(settings.host) }; }
  async setLocalDescription(description) { this.localDescription = description; }
  async setRemoteDescription(description) { this.remoteDescription = description; }
}

const settings = JSON.parse(process.argv[2]);
globalThis.window = globalThis;
globalThis.WebSocket = require("ws");
globalThis.RTCPeerConnection = StubbedMedia;
globalThis.RTCSessionDescription = class { constructor(init) { Object.assign(this, init); } };

const JsSIP = require("jssip");

function tell(event, facts = {}) {
  process.stdout.write(JSON.stringify({ event, ...facts }) + "\n");
}

const quiet = { mediaConstraints: { audio: false, video: false }, pcConfig: {} };
const ua = new JsSIP.UA({
  sockets: [new JsSIP.WebSocketInterface(settings.url)],
  uri: settings.uri,
  authorization_user: settings.user,
  password: settings.password,
  register: false,
  register_expires: settings.expires_s,
  session_timers: false,
});
let session = null;

ua.on("connected", () => tell("connected"));
ua.on("disconnected", (data) => tell("disconnected", { error: String(data.error) }));
ua.on("registered", (data) => tell("registered", { status: data.response.status_code, cseq: data.response.cseq }));
ua.on("unregistered", () => tell("unregistered"));
ua.on("registrationFailed", (data) =>
  tell("refused", { status: data.response ? data.response.status_code : 0,
                    reason: data.response ? data.response.reason_phrase : data.cause }));
ua.on("newRTCSession", (data) => {
  session = data.session;
  session.on("confirmed", () => tell("confirmed"));
  session.on("ended", (end) => tell("ended", { by: end.originator }));
  session.on("failed", (end) => tell("failed", { cause: end.cause, status: end.message ? end.message.status_code : 0 }));
  if (data.originator === "remote") {
    tell("incoming", { from: data.request.from.uri.toString() });
    session.answer(quiet);
  }
});

const orders = {
  register: () => ua.register(),
  unregister: () => ua.unregister(),
  call: (order) => ua.call(order.to, quiet),
  hang_up: () => session.terminate(),
  send_options: (order) => ua.sendOptions(order.to, "", { eventHandlers: {
    succeeded: (data) => tell("options", { status: data.response.status_code }),
    failed: (data) => tell("options", { status: data.response ? data.response.status_code : 0 }) } }),
};
const lines = readline.createInterface({ input: fs.createReadStream(settings.orders) });
lines.on("line", (line) => { const order = JSON.parse(line); orders[order.do](order); });
ua.start();
