// The page of the explorer. Its addresses are relative, so that it works below a path of a proxy, too.

/**
 * Scripts and styles of this service and no others, nothing inline. The style sheet holds its images as `data:`; what
 * somebody tries out is asked of this service.
 */
export const EXPLORER_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

export const EXPLORER_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast API</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="stylesheet" href="docs/explorer.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="explorer"><p class="waiting">The explorer needs scripts. The document itself: <a href="docs/json">JSON</a>, <a href="docs/yaml">YAML</a>.</p></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/explorer.js"></script>
</body>
</html>
`

/** No document but our own is shown, whatever the address says, and no token is kept when the page is closed. */
export const EXPLORER_SCRIPT = `SwaggerUIBundle({
  url: 'docs/json',
  dom_id: '#explorer',
  deepLinking: true,
  docExpansion: 'none',
  defaultModelsExpandDepth: 0,
  displayOperationId: true,
  displayRequestDuration: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
  validatorUrl: null,
})
`

export const EXPLORER_STYLE = `body { margin: 0; background: #fff; }
.waiting { margin: 2rem; font-family: system-ui, sans-serif; }
`
