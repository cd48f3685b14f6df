// A plugin of TypeDoc: the reference has the members that are written in this repository, not those that
// its classes inherit from undici's and Node's, and no lines "Defined in".
import { Converter, ReflectionKind } from 'typedoc';

/** @param {import('typedoc').Application} application */
export function load({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const member of project.getReflectionsByKind(ReflectionKind.ClassMember)) {
      const files =
        member.sources ?? member.signatures?.flatMap(({ sources = [] }) => sources) ?? [];
      const isOthers =
        files.length > 0 && files.every(({ fileName }) => fileName.includes('node_modules'));
      const isSymbol = member.name.startsWith('[');
      if (isOthers || isSymbol) project.removeReflection(member);
    }
    for (const reflection of Object.values(project.reflections)) delete reflection.sources;
  });
}
