import t from 'tap'
import { ErrorPages } from '../src/index.ts'

t.test('a wrong option fails at once, with what was received', async (t) => {
  for (const [options, message] of [
    [[], /"options" must be an object, received an array/],
    [{ product: 'x' }, /"product" must be left out/],
    [{ productName: '' }, /"productName" must be a text of 1 to 100/],
    [{ supportUrl: 'javascript:alert(1)' }, /"supportUrl" must be an https:, http: or mailto: URL/],
    [{ supportUrl: '//evil.example' }, /"supportUrl" must be/],
    [{ supportUrl: '/\\evil.example' }, /"supportUrl" must be/],
    [{ supportUrl: '/a b' }, /"supportUrl" must be/],
    [{ homeUrl: 'home' }, /"homeUrl" must be/],
    [{ language: 'en"' }, /"language" must be a language tag/],
    [{ explanations: { 200: {} } }, /"explanations\[200\]" must be a whole number from 400 to 599/],
    [{ explanations: { 404: { heading: 'x' } } }, /"explanations\[404\].text" must be/],
    [{ explanations: { 404: { heading: 'x', text: 'y', more: 1 } } }, /more" must be left out/],
    [{ headers: { 'x y': 'z' } }, /"headers.x y" must be a header as HTTP allows it/],
    [{ headers: { 'x-y': 'a\r\nb' } }, /"headers.x-y" must be a header/],
    [{ headers: { 'x-y': 7 } }, /"headers.x-y" must be a text/],
    [{ socketHeaders: { 'x-y': '\0' } }, /"socketHeaders.x-y" must be a header/],
    [{ idHeader: 'x y' }, /"idHeader" must be the name of a header, or false/],
    [{ idHeader: '' }, /"idHeader" must be a text/],
    [{ classify: true }, /"classify" must be a function/],
    [{ classify: async () => undefined }, /"classify" must be a function that is not async/],
    [{ newId: 'x' }, /"newId" must be a function/],
    [{ newId: async () => 'x' }, /"newId" must be a function that is not async/],
  ] as const) {
    const wrong: object = options
    t.throws(() => new ErrorPages(wrong), { code: 'HOLDFAST_ERR_ERROR_PAGES_OPTION', message })
  }
})

t.test('these are accepted', async (t) => {
  for (const supportUrl of ['/help', 'https://acme.example/help?x=1', 'mailto:help@acme.example']) {
    t.ok(new ErrorPages({ supportUrl, homeUrl: false, language: 'pt-BR', headers: { 'X-A': 'b' } }))
  }
})
