// The stream of alarms: banner, sounds, title, and the page's own word when the stream has fallen silent.
"use strict";
