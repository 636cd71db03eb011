"use strict";

// A shape of its own for every verdict, so that colour is never the only difference. Drawn on 100 × 100.
const LINE = 'fill="none" stroke="currentColor" stroke-width="8" stroke-linecap="round" stroke-linejoin="round"';
const CIRCLE = `<circle cx="50" cy="50" r="42" ${LINE}/>`;
const SQUARE = `<rect x="10" y="10" width="80" height="80" rx="6" ${LINE}/>`;
const SHAPES = {
  "": `<path d="M14 32V14h18M68 14h18v18M86 68v18H68M32 86H14V68" ${LINE}/><path d="M32 34v32M44 34v32M56 34v32M68 34v32" ${LINE}/>`,
  OK: `${CIRCLE}<path d="m29 52 15 15 28-32" ${LINE}/>`,
  ORDER: `<path d="M26 14v72l58-36z" ${LINE}/>`,
  PROVISIONAL: `${CIRCLE}<path d="M50 26v26l16 12" ${LINE}/>`,
  DUPLICATE: `<rect x="8" y="8" width="58" height="58" rx="5" ${LINE}/><path d="M78 34h14v58H34V78" ${LINE}/>`,
  NO_PARENT: `<path d="M12 36 50 16l38 20v38L50 92 12 74zM12 36l38 19 38-19M50 55v37" ${LINE} stroke-dasharray="12 10"/>`,
  OVER_QUANTITY: `<path d="M50 10 94 88H6z" ${LINE}/><path d="M50 42v34M33 60h34" ${LINE}/>`,
  NOT_IN_ORDER: `${SQUARE}<path d="M30 34h40M30 50h22M58 62l18 18M76 62 58 80" ${LINE}/>`,
  WRONG_ITEM: `${SQUARE}<path d="m32 32 36 36M68 32 32 68" ${LINE}/>`,
  UNKNOWN: `<path d="M50 6 94 50 50 94 6 50z" ${LINE}/><path d="M40 42c0-14 21-14 21-1 0 9-11 9-11 18M50 73v1" ${LINE}/>`,
  ALREADY_SHIPPED: `<path d="M8 34h66M54 14l22 20-22 20M26 68h66M72 50l20 18-20 18" ${LINE}/>`,
  BLOCKED: `<path d="M32 8h36l24 24v36L68 92H32L8 68V32z" ${LINE}/><path d="M28 50h44" ${LINE}/>`,
  NO_READ: `<rect x="10" y="10" width="80" height="80" rx="6" ${LINE} stroke-dasharray="16 14"/>`,
  DIFFERENCE: `<path d="M22 38h56M22 62h56M66 18 34 82" ${LINE}/>`,
  STOPPED: `<rect x="20" y="44" width="60" height="46" rx="6" ${LINE}/><path d="M32 44V30a18 18 0 0 1 36 0v14M50 60v12" ${LINE}/>`,
  REFUSED: `<path d="M28 8h44M28 92h44M32 8c0 30 36 54 36 84M68 8c0 30-36 54-36 84" ${LINE}/>`,
};

// Hertz and milliseconds; 0 Hz is a pause. Good ones are high, bad ones low, and no two alike.
const TONES = {
  OK: [[1320, 110]],
  ORDER: [[880, 80], [1175, 120]],
  PROVISIONAL: [[1320, 80], [0, 60], [1320, 80]],
  DUPLICATE: [[660, 120], [0, 50], [660, 120]],
  NO_PARENT: [[520, 150], [660, 150]],
  OVER_QUANTITY: [[392, 140], [440, 140], [494, 200]],
  NOT_IN_ORDER: [[330, 200], [262, 320]],
  WRONG_ITEM: [[262, 200], [0, 60], [262, 200], [0, 60], [262, 200]],
  UNKNOWN: [[440, 150], [330, 150], [440, 150]],
  ALREADY_SHIPPED: [[494, 180], [370, 180], [247, 300]],
  BLOCKED: [[196, 700]],
  NO_READ: [[220, 160]],
  DIFFERENCE: [[350, 220], [0, 80], [350, 220]],
  STOPPED: [[165, 300], [0, 100], [165, 300]],
  REFUSED: [[147, 500], [0, 100], [147, 500]],
};
