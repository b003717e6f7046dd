import { serve } from "./pool.mjs";

serve(
  (message, transferred) => self.postMessage(message, transferred),
  (handler) => {
    self.onmessage = ({ data }) => handler(data);
  },
);
