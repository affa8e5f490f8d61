// Explanations of errors in Spanish: a title and the next step.
export default {
  notLoaded: [
    'No se pudo cargar el cliente de Zoom',
    'El servidor de Zoom no responde o esta red lo bloquea. Prueba otra vez o usa la aplicación de Zoom.',
  ],
  unsupported: [
    'Este navegador no puede mostrar la clase aquí',
    'Usa un Chrome, Edge, Firefox o Safari actual, o la aplicación de Zoom.',
  ],
  failed: ['Zoom no pudo abrir la clase', 'Falló la conexión con Zoom. Prueba otra vez o usa la aplicación de Zoom.'],
  otherMeeting: ['Hay otra reunión en marcha', 'El docente está en otra reunión de Zoom. Primero tiene que terminar.'],
  gone: ['La reunión ya no existe', 'Se borró en Zoom. Avisa al docente.'],
  notHost: ['Zoom no te acepta como anfitrión', 'Empieza la clase con el usuario de Zoom al que pertenece.'],
  passcode: ['El código de acceso es incorrecto', 'Se cambió en Zoom. Avisa al docente.'],
  removed: ['Te han sacado de la clase', 'Lo hizo el anfitrión, o entraste en otra ventana.'],
  signIn: [
    'Zoom pide iniciar sesión',
    'La clase es solo para personas con sesión en Zoom. Usa la aplicación de Zoom e inicia sesión allí.',
  ],
  token: [
    'El permiso para entrar ha caducado',
    'Vale poco tiempo y mientras el docente está en la clase. Prueba otra vez.',
  ],
  hostInactive: ['El usuario de Zoom del docente está inactivo', 'Avisa al docente o a la plataforma.'],
  tooOften: ['Demasiados intentos', 'Zoom permite pocos intentos seguidos. Espera un minuto y prueba otra vez.'],
  memory: [
    'Este dispositivo tiene poca memoria para la clase',
    'Cierra otras ventanas y prueba otra vez, o usa la aplicación de Zoom.',
  ],
  setup: [
    'La aplicación de Zoom de la plataforma está mal configurada',
    'La plataforma tiene que corregirla. Quizá funcione la aplicación de Zoom.',
  ],
  connection: ['Se perdió la conexión con Zoom', 'Comprueba la red y prueba otra vez.'],
  offline: ['Zoom no está disponible', 'El servicio de Zoom tiene un fallo. Prueba en unos minutos.'],
  outdated: [
    'El cliente de Zoom está anticuado',
    'La plataforma tiene que actualizar esta página. La aplicación de Zoom funciona.',
  ],
  storage: [
    'El almacenamiento del navegador está lleno o bloqueado',
    'Sal del modo privado o libera espacio y prueba otra vez.',
  ],
  noLicence: [
    'No hay ninguna licencia de Zoom libre',
    'Otras clases usan todas las licencias de la plataforma. Prueba en unos minutos o pide una a la plataforma.',
  ],
  early: ['La clase aún no está abierta', 'Vuelve poco antes de que empiece.'],
  ended: ['La clase ha terminado', 'Ya no puedes entrar.'],
  cancelled: ['La clase se canceló', 'Tu último correo tiene los detalles.'],
  notReady: ['La reunión aún no está lista', 'Se crea poco antes de la clase. Prueba en unos minutos.'],
  trainerConnect: [
    'La cuenta de Zoom del docente no está conectada',
    'El docente tiene que conectarla otra vez. Mientras, quizá funcione la aplicación de Zoom.',
  ],
  busy: ['Mucha gente entra ahora mismo', 'Prueba en unos segundos.'],
  unavailable: ['El servicio no responde', 'Comprueba la red y prueba otra vez.'],
  zoomRejected: ['Zoom rechaza esta clase', 'Avisa al docente. Quizá funcione la aplicación de Zoom.'],
  notFound: ['No se encontró la clase', 'No existe o no tienes invitación.'],
  pollClosed: ['La encuesta está cerrada', 'Tu voto no cuenta.'],
  pollRefused: [
    'No se puede lanzar la encuesta',
    'Hay otra encuesta abierta o la clase ya tiene todas las que puede tener.',
  ],
  invalid: ['Algunos datos no son válidos', 'Revisa los campos e inténtalo de nuevo.'],
};
