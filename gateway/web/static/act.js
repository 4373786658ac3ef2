// What a person does on the page: the answer is told, and where a password is needed once more it is asked for.
"use strict";
