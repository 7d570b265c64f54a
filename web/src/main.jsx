// GraphiQL as Shoal serves it: from its own origin only, talking to /graphql beside it.

import 'graphiql/setup-workers/vite';
import './fonts.css';
// What graphiql/style.css joins, less its inline fonts; Monaco's styles arrive with Monaco.
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import '@graphiql/plugin-explorer/style.css';
import './page.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL, HISTORY_PLUGIN } from 'graphiql';
import { createRoot } from 'react-dom/client';

import { examples } from './examples.js';
// As a file, like the icon in index.html: whether Vite inlines what both name depends on which it meets first.
import logo from './shoal.svg?no-inline';

// Below a path prefix as well as at the root.
const endpoint = new URL('graphql', document.baseURI);
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === 'https:' ? 'wss:' : 'ws:';

const fetcher = createGraphiQLFetcher({
  url: endpoint.href,
  // Opened by the first subscription, not by the page.
  subscriptionUrl: socket.href,
  // Shoal has no @defer or @stream; a plain fetch asks for application/graphql-response+json first.
  enableIncrementalDelivery: false,
});

// Made once: GraphiQL tells plugins apart by identity.
const plugins = [HISTORY_PLUGIN, explorerPlugin({ showAttribution: false })];

createRoot(document.getElementById('graphiql')).render(
  <GraphiQL fetcher={fetcher} plugins={plugins} defaultTabs={examples} defaultEditorToolsVisibility="variables">
    <GraphiQL.Logo>
      <span className="shoal-logo">
        <img src={logo} alt="" />
        Shoal
      </span>
    </GraphiQL.Logo>
  </GraphiQL>,
);
