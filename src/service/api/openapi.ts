import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';

interface ObjectSchema {
  required?: string[];
  properties?: Readonly<Record<string, { readonly default?: unknown }>>;
}

/** The OpenAPI document's frame; routes and components fill it. */
export function openApiDocument(version: string): FastifyDynamicSwaggerOptions {
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Workspace Pilot',
        description: 'Lease virtual machines and virtual clusters from an unmodified batch scheduler.',
        version,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, i) =>
        typeof json['$id'] === 'string' ? json['$id'] : `def-${i}`,
    },
    transformObject: document => {
      if (!('openapiObject' in document)) return document.swaggerObject;
      // What has a default may be left out of a request: the service fills it in before it checks what is required.
      const { schemas = {} } = document.openapiObject.components ?? {};
      for (const schema of Object.values(schemas) as ObjectSchema[]) {
        const { required, properties = {} } = schema;
        if (required) schema.required = required.filter(name => properties[name]?.default === undefined);
      }
      return document.openapiObject;
    },
  };
}
