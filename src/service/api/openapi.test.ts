import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { clientTypesFile, clientTypesText, documentFile, documentText } from '../../../scripts/openapi.ts';

describe('the committed contract', () => {
  it('openapi.json is what the routes say (npm run openapi)', async () => {
    expect(readFileSync(documentFile, 'utf8')).toBe(await documentText());
  });

  it('the client’s types are what openapi.json says (npm run openapi)', async () => {
    const document = readFileSync(documentFile, 'utf8');
    expect(readFileSync(clientTypesFile, 'utf8')).toBe(await clientTypesText(document));
  });

  it('names its components and asks for a token everywhere but for health and logins', () => {
    const document = JSON.parse(readFileSync(documentFile, 'utf8')) as {
      components: { schemas: Record<string, { required?: string[] }> };
      paths: Record<string, Record<string, { security?: unknown[]; responses: object }>>;
    };
    expect(Object.keys(document.components.schemas).sort()).toEqual([
      'AddRequest',
      'Audit',
      'ClaimRequest',
      'DeadLetter',
      'DryRun',
      'Error',
      'Event',
      'ExtendRequest',
      'FileChallenge',
      'GroupRequest',
      'Image',
      'Login',
      'LoginWays',
      'MungeRequest',
      'NewToken',
      'NewWebhook',
      'Node',
      'OperateRequest',
      'Project',
      'ProjectChange',
      'Slot',
      'Timeline',
      'Token',
      'TokenRequest',
      'Types',
      'Usage',
      'User',
      'UserChange',
      'Vm',
      'Webhook',
      'WebhookRequest',
      'Whoami',
      'Workspace',
      'WorkspaceRequest',
    ]);
    expect(document.components.schemas['GroupRequest']?.required).toEqual(['name', 'image']);
    const open = Object.entries(document.paths).filter(([, methods]) =>
      Object.values(methods).some(route => route.security),
    );
    expect(open.map(([path]) => path)).toEqual([
      '/v1/health',
      '/v1/login',
      '/v1/login/file',
      '/v1/login/file/claim',
      '/v1/login/munge',
    ]);
  });
});
